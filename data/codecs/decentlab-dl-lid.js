// SPDX-License-Identifier: Apache-2.0
// Decentlab DL-LID: distance by laser, for snow depth and water level.
// Written for Hotaru from the examples and the vendor's description of the payload.

var sensors = [
  { words: 11, values: [
    { name: "distance_average", label: "Distance: average", unit: "mm",
      of: function (x) { return x[0]; } },
    { name: "distance_minimum", label: "Distance: minimum", unit: "mm",
      of: function (x) { return x[1]; } },
    { name: "distance_maximum", label: "Distance: maximum", unit: "mm",
      of: function (x) { return x[2]; } },
    { name: "distance_median", label: "Distance: median", unit: "mm",
      of: function (x) { return x[3]; } },
    { name: "distance_10th_percentile", label: "Distance: 10th percentile", unit: "mm",
      of: function (x) { return x[4]; } },
    { name: "distance_25th_percentile", label: "Distance: 25th percentile", unit: "mm",
      of: function (x) { return x[5]; } },
    { name: "distance_75th_percentile", label: "Distance: 75th percentile", unit: "mm",
      of: function (x) { return x[6]; } },
    { name: "distance_90th_percentile", label: "Distance: 90th percentile", unit: "mm",
      of: function (x) { return x[7]; } },
    { name: "distance_most_frequent_value", label: "Distance: most frequent value", unit: "mm",
      of: function (x) { return x[8]; } },
    { name: "number_of_samples", label: "Number of samples", of: function (x) { return x[9]; } },
    { name: "total_acquisition_time", label: "Total acquisition time", unit: "ms",
      of: function (x) { return x[10] / 1.024; } },
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
