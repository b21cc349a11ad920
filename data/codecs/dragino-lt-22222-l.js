// SPDX-License-Identifier: Apache-2.0
// Dragino LT-22222-L: two analogue voltages, two currents, digital inputs, outputs and relays.
// Written for Hotaru from the example and the user manual, big-endian:
// | 8 bytes by working mode | inputs and outputs | reserved | hardware and working mode |
//   inputs and outputs: RO1 RO2 DI3 DI2 DI1 DO3 DO2 DO1, from the high bit down

var modes = {
  1: ["2ACI+2AVI", function (d, b) {
    d.AVI1_V = i16(b, 0) / 1000;
    d.AVI2_V = i16(b, 2) / 1000;
    d.ACI1_mA = i16(b, 4) / 1000;
    d.ACI2_mA = i16(b, 6) / 1000;
  }],
  2: ["Count mode 1", function (d, b) {
    d.Count1_times = u32(b, 0);
    d.Count2_times = u32(b, 4);
  }],
  3: ["2ACI+1Count", function (d, b) {
    d.Count1_times = u32(b, 0);
    d.ACI1_mA = i16(b, 4) / 1000;
    d.ACI2_mA = i16(b, 6) / 1000;
  }],
  4: ["Count mode 2", function (d, b) {
    d.Count1_times = u32(b, 0);
    d.AVI1_Count = u32(b, 4);
  }],
  5: ["1ACI+2AVI+1Count", function (d, b) {
    d.AVI1_V = i16(b, 0) / 1000;
    d.AVI2_V = i16(b, 2) / 1000;
    d.ACI1_mA = i16(b, 4) / 1000;
    d.Count1_times = b[6] << 8 | b[7];
  }],
};

function decodeUplink(input) {
  var b = input.bytes;
  if (input.fPort !== 2) return { errors: ["port " + input.fPort + " carries no measurement"] };
  if (b.length < 11) return { errors: ["shorter than 11 bytes"] };
  var mode = modes[b[10] & 0x3f];
  if (!mode) return { errors: ["working mode " + (b[10] & 0x3f) + " is not known"] };
  var big = b[10] >> 6 !== 1;                           // LT33222: a third input and output
  var data = {
    Hardware_mode: big ? "LT33222" : "LT22222",
    DO1_status: b[8] & 0x01 ? "L" : "H",                // open collector: on pulls the line low
    DO2_status: b[8] & 0x02 ? "L" : "H",
    RO1_status: b[8] & 0x80 ? "ON" : "OFF",
    RO2_status: b[8] & 0x40 ? "ON" : "OFF",
    Work_mode: mode[0],
  };
  if (big) data.DO3_status = b[8] & 0x04 ? "L" : "H";
  mode[1](data, b);
  if ((b[10] & 0x3f) === 1) {                            // the counting modes give no input levels
    data.DI1_status = b[8] & 0x08 ? "H" : "L";
    data.DI2_status = b[8] & 0x10 ? "H" : "L";
    if (big) data.DI3_status = b[8] & 0x20 ? "H" : "L";
  }
  return { data: data };
}

// Relays: | 03 | RO1 | RO2 |, each 0 off, 1 on, 0x11 leave as it is.
function encodeDownlink(input) {
  var relay = { off: 0, on: 1 };
  var named = input.data || {};
  if (!(named.RO1 in relay) && !(named.RO2 in relay))
    return { errors: ["RO1 or RO2 must be \"on\" or \"off\""] };
  return { fPort: 2, bytes: [3, pick(relay, named.RO1), pick(relay, named.RO2)] };
}

function decodeDownlink(input) {
  var b = input.bytes;
  if (b.length !== 3 || b[0] !== 3) return { errors: ["not a relay command"] };
  var data = {};
  if (b[1] < 2) data.RO1 = b[1] ? "on" : "off";
  if (b[2] < 2) data.RO2 = b[2] ? "on" : "off";
  return { data: data };
}

function pick(relay, name) { return name in relay ? relay[name] : 0x11; }
function i16(b, at) { return b[at] << 24 >> 16 | b[at + 1]; }
function u32(b, at) { return (b[at] << 24 | b[at + 1] << 16 | b[at + 2] << 8 | b[at + 3]) >>> 0; }
