// SPDX-License-Identifier: Apache-2.0
// Decentlab DL-PR26: pressure and temperature for liquid level.
// Written for Hotaru from the examples and the vendor's description of the payload.

// The range stands on the probe; this is the 0..1 bar model of the published example.
var range = { min_bar: 0, max_bar: 1 };
function bar(x) { return (x[0] - 16384) / 32768 * (range.max_bar - range.min_bar) + range.min_bar; }

var sensors = [
  { words: 2, values: [
    { name: "pressure", label: "Pressure", unit: "bar",
      of: function (x) { return bar(x); } },
    { name: "temperature", label: "Temperature", unit: "°C",
      of: function (x) { return (x[1] - 384) / 64000 * 200 - 50; } },
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
