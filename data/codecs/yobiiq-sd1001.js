// SPDX-License-Identifier: Apache-2.0
// Yobiiq SD-1001: smoke detector. Written for Hotaru from the examples, big-endian.
// Port 50: device information, | ff | code | value |; port 8: | code | value (2) |; one byte alone
// answers a downlink. The serial number is ten decimal digits, two in each byte.

var about = {
  codecVersion: "1.1.0", deviceModel: "SD-1001", productCode: "1002015",
  manufacturer: "YOBIIQ B.V.",
};
//        code   bytes, what it says
var info = {
  0x09: [2, function (d, b, i) { d.hardwareVersion = version(b, i); }],
  0x0a: [2, function (d, b, i) { d.firmwareVersion = version(b, i); }],
  0x0b: [1, function (d, b, i) { d.powerEvent = b[i] ? "AC Power On" : "AC Power Off"; }],
  0x0f: [1, function (d, b, i) { d.deviceClass = "Class " + ("ABC"[b[i]] || b[i]); }],
  0x16: [5, function (d, b, i) { d.deviceSerialNumber = digits(b, i, 5); }],
};
//        code   name, words for 0 and 1 (none: a number)
var states = {
  0x01: ["batteryLevelInPercentage"],
  0x02: ["powerEvent", "AC Power Off", "AC Power On"],
  0x03: ["lowBatteryAlarm", "Normal", "Alarm"],
  0x04: ["faultAlarm", "Normal", "Alarm"],
  0x05: ["smokeAlarm", "Normal", "Alarm"],
  0x06: ["interconnectAlarm", "Normal", "Alarm"],
  0x07: ["testButtonPressed", "Released", "Pushed"],
};

function decodeUplink(input) {
  var b = input.bytes;
  var data = {};
  var errors = [];
  if (b.length === 1) {
    answer(data, b[0]);
  } else if (input.fPort === 50) {
    errors = read_info(data, b);
  } else if (input.fPort === 8) {
    errors = read_states(data, b);
  } else {
    errors = ["port " + input.fPort + " is not known"];
  }
  for (var name in about) data[name] = about[name];
  return { data: data, errors: errors };
}

function answer(data, code) {
  if (code === 0) data.info = "Downlink command succeeded";
  else data.warning = "Downlink command failed";
}

function read_info(data, b) {
  for (var at = 0; at < b.length;) {
    var code = b[at] === 0xff && info[b[at + 1]];
    if (!code) return ["device information that is not known"];
    if (at + 2 + code[0] > b.length) return ["device information is cut short"];
    code[1](data, b, at + 2);
    at += 2 + code[0];
  }
  return [];
}

function read_states(data, b) {
  for (var at = 0; at < b.length; at += 3) {
    var state = states[b[at]];
    if (!state) return ["code " + b[at] + " is not known"];
    if (at + 3 > b.length) return ["code " + b[at] + " is cut short"];
    var raw = b[at + 1] << 8 | b[at + 2];
    data[state[0]] = state.length === 1 ? raw : state[raw ? 2 : 1];
  }
  return [];
}

function version(b, i) { return "V" + b[i] + "." + b[i + 1]; }

function digits(b, i, n) {
  var v = 0;
  for (; n > 0; n--, i++) v = v * 100 + (b[i] >> 4) * 10 + (b[i] & 15);
  return v;
}
