// SPDX-License-Identifier: Apache-2.0
// Adeunis BREATH: TVOC and particulate matter. Written for Hotaru from the example and the
// vendor's description: | code 0x6d | status | samples of 8 bytes, newest first |, big-endian.
// One frame carries several samples: values[0] is now, values[1] one logging period ago.

var sample = [["tvoc", 0], ["pm10", 2], ["pm25", 4], ["pm1", 6]];
var sample_bytes = 8;

function decodeUplink(input) {
  var bytes = input.bytes;
  if (bytes.length < 2 + sample_bytes || bytes[0] !== 0x6d)
    return { errors: ["not a periodic data frame (0x6d)"] };
  var out = {
    type: "0x6d Breath periodic data",
    status: status(bytes[1]),
    decodingInfo: "values: [t=0, t-1, t-2, ...]",
  };
  sample.forEach(function (field) {
    var values = [];
    for (var at = 2; at + sample_bytes <= bytes.length; at += sample_bytes)
      values.push(bytes[at + field[1]] << 8 | bytes[at + field[1] + 1]);
    out[field[0]] = { unit: "µg/m3", values: values };
  });
  return { data: { bytes: out } };
}

function status(b) {
  return {
    frameCounter: b >> 5,
    hardwareError: (b & 0x04) !== 0,
    lowBattery: (b & 0x02) !== 0,
    configurationDone: (b & 0x01) !== 0,
    configurationInconsistency: (b & 0x08) !== 0,
    sensorError: (b & 0x10) !== 0,
  };
}
