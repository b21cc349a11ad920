// SPDX-License-Identifier: Apache-2.0
// Dragino LHT65N: temperature and humidity, with an external probe. Written for Hotaru from the
// example and the user manual, big-endian:
// | battery state and mV (2) | temperature (2) | humidity (2) | kind of probe | its value (4) |
// 0x7fff in the probe's temperature (327.67) says that the probe is absent: the profile knows.

var probes = {
  1: function (d, b) { d.Ext_sensor = "Temperature Sensor"; d.TempC_DS = i16(b, 7) / 100; },
  4: function (d, b) {
    d.Ext_sensor = "Interrupt Sensor send";
    d.Exti_pin_level = b[7] ? "High" : "Low";
    d.Exti_status = b[8] ? "True" : "False";
  },
  5: function (d, b) { d.Ext_sensor = "Illumination Sensor"; d.ILL_lx = u16(b, 7); },
  6: function (d, b) { d.Ext_sensor = "ADC Sensor"; d.ADC_V = u16(b, 7) / 1000; },
  7: function (d, b) { d.Ext_sensor = "Interrupt Sensor count"; d.Exit_count = u16(b, 7); },
  8: function (d, b) {
    d.Ext_sensor = "Interrupt Sensor count";
    d.Exit_count = u16(b, 7) * 65536 + u16(b, 9);
  },
};

function decodeUplink(input) {
  var b = input.bytes;
  if (input.fPort !== 2) return { errors: ["port " + input.fPort + " carries no measurement"] };
  if (b.length < 11) return { errors: ["shorter than 11 bytes"] };
  var data = {
    BatV: (u16(b, 0) & 0x3fff) / 1000,
    Bat_status: b[0] >> 6,
    TempC_SHT: i16(b, 2) / 100,
    Hum_SHT: u16(b, 4) / 10,
  };
  var read = probes[b[6] & 0x7f];
  if (read) read(data, b);
  if (b[6] & 0x80) data.No_connect = "Sensor no connection";
  return { data: data };
}

function u16(b, at) { return b[at] << 8 | b[at + 1]; }
function i16(b, at) { return b[at] << 24 >> 16 | b[at + 1]; }
