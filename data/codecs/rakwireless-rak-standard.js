// SPDX-License-Identifier: Apache-2.0
// RAKwireless sensors: | channel | type | value, big-endian |, after Cayenne LPP with more types.
// Written for Hotaru from the example and the vendor's table of types.

//       type   bytes  signed  unit    name
var types = {
  0:   [1, false, 1,      "digital_in"],
  1:   [1, false, 1,      "digital_out"],
  2:   [2, true,  100,    "analog_in"],
  3:   [2, true,  100,    "analog_out"],
  100: [4, false, 1,      "generic"],
  101: [2, false, 1,      "illuminance"],
  102: [1, false, 1,      "presence"],
  103: [2, true,  10,     "temperature"],
  104: [1, false, 2,      "humidity"],
  112: [2, false, 10,     "humidity_prec"],
  115: [2, false, 10,     "barometer"],
  116: [2, false, 100,    "voltage"],
  117: [2, false, 1000,   "current"],
  118: [4, false, 1,      "frequency"],
  120: [1, false, 1,      "percentage"],
  121: [2, true,  1,      "altitude"],
  125: [2, false, 1,      "concentration"],
  128: [2, false, 1,      "power"],
  130: [4, false, 1000,   "distance"],
  131: [4, false, 1000,   "energy"],
  132: [2, false, 1,      "direction"],
  133: [4, false, 1,      "time"],
  138: [2, false, 1,      "voc"],
  142: [1, false, 1,      "switch"],
};
var vectors = {
  113: [2, [["x", 1000], ["y", 1000], ["z", 1000]], "accelerometer"],
  134: [2, [["x", 100], ["y", 100], ["z", 100]], "gyrometer"],
  135: [1, [["r", 1], ["g", 1], ["b", 1]], "colour"],
  136: [3, [["latitude", 1e4], ["longitude", 1e4], ["altitude", 100]], "gps"],
};

function decodeUplink(input) {
  var b = input.bytes;
  var data = {};
  for (var at = 0; at + 2 <= b.length;) {
    var type = types[b[at + 1]];
    var vector = vectors[b[at + 1]];
    if (!type && !vector) return { data: data, errors: ["type " + b[at + 1] + " is not known"] };
    var size = type ? type[0] : vector[0] * vector[1].length;
    if (at + 2 + size > b.length)
      return { data: data, errors: ["type " + b[at + 1] + " is cut short"] };
    var name = (type ? type[3] : vector[2]) + "_" + b[at];
    data[name] = type ? number(b, at + 2, size, type[1]) / type[2] : parts(b, at + 2, vector);
    at += 2 + size;
  }
  if (at < b.length) return { data: data, errors: ["a channel without a type"] };
  return { data: data };
}

function parts(b, at, vector) {
  var out = {};
  vector[1].forEach(function (p, n) {
    out[p[0]] = number(b, at + n * vector[0], vector[0], vector[0] > 1) / p[1];
  });
  return out;
}

function number(b, at, size, signed) {
  var v = 0;
  for (var i = 0; i < size; i++) v = v * 256 + b[at + i];
  return signed && b[at] >= 128 ? v - Math.pow(256, size) : v;
}
