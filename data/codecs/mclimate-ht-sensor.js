// SPDX-License-Identifier: Apache-2.0
// MClimate HT Sensor: temperature and humidity, with an external thermistor. Written for Hotaru
// from the example: a keep-alive is
// | 1 | temperature (2) | humidity | battery | thermistor state and value (2) |, big-endian,
// and an answer to a command stands in front of one (then the code is the command's).

var keepalive_bytes = 7;
//         code   bytes of the answer, name
var answers = {
  0x04: [2, function (d, b) {
    d.deviceVersions = { hardware: b[0], software: b[1] };
  }],
  0x12: [1, function (d, b) { d.keepAliveTime = b[0]; }],
  0x19: [1, function (d, b) { d.joinRetryPeriod = b[0] * 5 / 60; }],
  0x1b: [1, function (d, b) { d.uplinkType = b[0]; }],
  0x1d: [2, function (d, b) { d.watchDogParams = { wdpC: b[0], wdpUc: b[1] }; }],
};

function decodeUplink(input) {
  var b = input.bytes;
  var data = {};
  var at = 0;
  while (at < b.length && b[at] !== 1) {
    var answer = answers[b[at]];
    if (!answer) return { errors: ["code " + b[at] + " is not known"] };
    answer[1](data, b.slice(at + 1, at + 1 + answer[0]));
    at += 1 + answer[0];
  }
  if (at + keepalive_bytes > b.length) return { data: data, errors: ["no whole keep-alive"] };
  data.sensorTemperature = ((b[at + 1] << 8 | b[at + 2]) - 400) / 10;
  data.relativeHumidity = round(b[at + 3] * 100 / 256, 2);
  data.batteryVoltage = round((b[at + 4] * 8 + 1600) / 1000, 1);
  data.thermistorProperlyConnected = (b[at + 5] & 0x04) === 0;
  data.extThermistorTemperature = data.thermistorProperlyConnected
    ? (((b[at + 5] & 0x03) << 8 | b[at + 6]) - 400) / 10 : 0;
  return { data: data };
}

function round(value, places) { return Number(value.toFixed(places)); }

// | 02 | minutes between keep-alives |
function encodeDownlink(input) {
  var minutes = (input.data || {}).keepAliveTime;
  if (!(minutes >= 1 && minutes <= 255))
    return { errors: ["keepAliveTime must be 1..255 minutes"] };
  return { fPort: 1, bytes: [0x02, minutes] };
}

function decodeDownlink(input) {
  var b = input.bytes;
  if (b.length !== 2 || b[0] !== 0x02) return { errors: ["not a keep-alive command"] };
  return { data: { keepAliveTime: b[1] } };
}
