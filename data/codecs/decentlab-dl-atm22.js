// SPDX-License-Identifier: Apache-2.0
// Decentlab DL-ATM22: wind speed and direction (ultrasonic).
// Written for Hotaru from the examples and the vendor's description of the payload.

var sensors = [
  { words: 8, values: [
    { name: "wind_speed", label: "Wind speed", unit: "m⋅s⁻¹",
      of: function (x) { return (x[0] - 32768) / 100; } },
    { name: "wind_direction", label: "Wind direction", unit: "°",
      of: function (x) { return (x[1] - 32768) / 10; } },
    { name: "maximum_wind_speed", label: "Maximum wind speed", unit: "m⋅s⁻¹",
      of: function (x) { return (x[2] - 32768) / 100; } },
    { name: "air_temperature", label: "Air temperature", unit: "°C",
      of: function (x) { return (x[3] - 32768) / 10; } },
    { name: "x_orientation_angle", label: "X orientation angle", unit: "°",
      of: function (x) { return (x[4] - 32768) / 10; } },
    { name: "y_orientation_angle", label: "Y orientation angle", unit: "°",
      of: function (x) { return (x[5] - 32768) / 10; } },
    { name: "north_wind_speed", label: "North wind speed", unit: "m⋅s⁻¹",
      of: function (x) { return (x[6] - 32768) / 100; } },
    { name: "east_wind_speed", label: "East wind speed", unit: "m⋅s⁻¹",
      of: function (x) { return (x[7] - 32768) / 100; } },
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
