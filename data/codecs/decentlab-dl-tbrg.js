// SPDX-License-Identifier: Apache-2.0
// Decentlab DL-TBRG: tipping bucket rain gauge.
// Written for Hotaru from the examples and the vendor's description of the payload.

// Rain per tip of the bucket, in mm; this is the 0.1 mm model of the published example.
var mm_per_tip = 0.1;

var sensors = [
  { words: 4, values: [
    { name: "precipitation", label: "Precipitation", unit: "mm",
      of: function (x) { return x[0] * mm_per_tip; } },
    { name: "precipitation_interval", label: "Precipitation interval", unit: "s",
      of: function (x) { return x[1]; } },
    { name: "cumulative_precipitation", label: "Cumulative precipitation", unit: "mm",
      of: function (x) { return (x[2] + x[3] * 65536) * mm_per_tip; } },
  ] },
  { words: 1, values: [
    { name: "battery_voltage", label: "Battery voltage", unit: "V",
      of: function (x) { return x[0] / 1000; } },
  ] },
];

// | version = 2 | device id (2) | flags (2) | 16-bit words of every sensor whose flag is set |
function decodeUplink(input) {
  var bytes = input.bytes;
  if (bytes.length < 5) return { errors: ["shorter than a Decentlab header"] };
  if (bytes[0] !== 2) return { errors: ["protocol version " + bytes[0] + ", expected 2"] };
  var data = { protocol_version: 2, device_id: word(bytes, 1) };
  var flags = word(bytes, 3);
  var at = 5;
  for (var s = 0; s < sensors.length; s++) {
    if ((flags >> s & 1) === 0) continue;
    if (at + 2 * sensors[s].words > bytes.length)
      return { errors: ["the flags promise more words than the frame holds"] };
    var x = [];
    for (var w = 0; w < sensors[s].words; w++, at += 2) x.push(word(bytes, at));
    sensors[s].values.forEach(function (v) {
      data[v.name] = { displayName: v.label, value: v.of(x) };
      if (v.unit) data[v.name].unit = v.unit;
    });
  }
  return { data: data };
}

function word(bytes, at) { return bytes[at] << 8 | bytes[at + 1]; }
