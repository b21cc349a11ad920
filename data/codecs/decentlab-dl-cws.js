// SPDX-License-Identifier: Apache-2.0
// Decentlab DL-CWS: road surface temperature (infrared), air temperature and humidity.
// Written for Hotaru from the examples and the vendor's description of the payload.

var sensors = [
  { words: 6, values: [
    { name: "surface_temperature", label: "Surface temperature", unit: "°C",
      of: function (x) { return (x[0] - 32768) / 100; } },
    { name: "air_temperature", label: "Air temperature", unit: "°C",
      of: function (x) { return (x[1] - 32768) / 100; } },
    { name: "air_humidity", label: "Air humidity", unit: "%",
      of: function (x) { return (x[2] - 32768) / 100; } },
    { name: "dew_point", label: "Dew point", unit: "°C",
      of: function (x) { return (x[3] - 32768) / 100; } },
    { name: "angle", label: "Angle", unit: "°", of: function (x) { return (x[4] - 32768); } },
    { name: "sensor_temperature", label: "Sensor temperature", unit: "°C",
      of: function (x) { return (x[5] - 32768) / 100; } },
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
