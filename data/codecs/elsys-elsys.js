// SPDX-License-Identifier: Apache-2.0
// Elsys ERS, ELT, EMS and relatives: one code byte, then the value of that code, big-endian.
// Written for Hotaru from the examples and the vendor's payload document.

//       code   bytes  what it says
var codes = {
  0x01: [2, function (d, b, i) { d.temperature = i16(b, i) / 10; }],
  0x02: [1, function (d, b, i) { d.humidity = b[i]; }],
  0x03: [3, function (d, b, i) { d.x = i8(b, i); d.y = i8(b, i + 1); d.z = i8(b, i + 2); }],
  0x04: [2, function (d, b, i) { d.light = u16(b, i); }],
  0x05: [1, function (d, b, i) { d.motion = b[i]; }],
  0x06: [2, function (d, b, i) { d.co2 = u16(b, i); }],
  0x07: [2, function (d, b, i) { d.vdd = u16(b, i); }],
  0x08: [2, function (d, b, i) { d.analog1 = u16(b, i); }],
  0x09: [6, function (d, b, i) { d.lat = i24(b, i) / 10000; d.long = i24(b, i + 3) / 10000; }],
  0x0a: [2, function (d, b, i) { d.pulse1 = u16(b, i); }],
  0x0b: [4, function (d, b, i) { d.pulseAbs = u32(b, i); }],
  0x0c: [2, function (d, b, i) { d.externalTemperature = i16(b, i) / 10; }],
  0x0d: [1, function (d, b, i) { d.digital = b[i]; }],
  0x0e: [2, function (d, b, i) { d.distance = u16(b, i); }],
  0x0f: [1, function (d, b, i) { d.accMotion = b[i]; }],
  0x10: [4, function (d, b, i) {
    d.irInternalTemperature = i16(b, i) / 10;
    d.irExternalTemperature = i16(b, i + 2) / 10;
  }],
  0x11: [1, function (d, b, i) { d.occupancy = b[i]; }],
  0x12: [1, function (d, b, i) { d.waterleak = b[i]; }],
  0x13: [65, function (d, b, i) {                       // a reference, then an 8 x 8 picture
    d.grideye = [];
    for (var p = 0; p < 64; p++) d.grideye.push(b[i] + b[i + 1 + p] / 10);
  }],
  0x14: [4, function (d, b, i) { d.pressure = u32(b, i) / 1000; }],
  0x15: [2, function (d, b, i) { d.soundPeak = b[i]; d.soundAvg = b[i + 1]; }],
  0x16: [2, function (d, b, i) { d.pulse2 = u16(b, i); }],
  0x17: [4, function (d, b, i) { d.pulseAbs2 = u32(b, i); }],
  0x18: [2, function (d, b, i) { d.analog2 = u16(b, i); }],
  0x19: [2, function (d, b, i) { d.externalTemperature2 = i16(b, i) / 10; }],
  0x1a: [1, function (d, b, i) { d.digital2 = b[i]; }],
  0x1b: [4, function (d, b, i) { d.analogUv = u32(b, i) | 0; }],
  0x1c: [2, function (d, b, i) { d.tvoc = u16(b, i); }],
};

function decodeUplink(input) {
  var b = input.bytes;
  var data = {};
  for (var at = 0; at < b.length;) {
    var code = codes[b[at]];
    if (!code) return { data: data, errors: ["code " + b[at] + " is not known"] };
    if (at + 1 + code[0] > b.length)
      return { data: data, errors: ["code " + b[at] + " is cut short"] };
    code[1](data, b, at + 1);
    at += 1 + code[0];
  }
  return { data: data };
}

function i8(b, i) { return b[i] << 24 >> 24; }
function u16(b, i) { return b[i] << 8 | b[i + 1]; }
function i16(b, i) { return b[i] << 24 >> 16 | b[i + 1]; }
function i24(b, i) { return b[i] << 24 >> 8 | b[i + 1] << 8 | b[i + 2]; }
function u32(b, i) { return (b[i] << 24 | b[i + 1] << 16 | b[i + 2] << 8 | b[i + 3]) >>> 0; }
