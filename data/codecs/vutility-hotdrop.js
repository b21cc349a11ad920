// SPDX-License-Identifier: Apache-2.0
// Vutility HotDrop: current through a cable, powered by it. Written for Hotaru from the example and
// the vendor's description, big-endian:
// | 0x32 | charge, 0.1 Ah (4) | mean, 0.1 A (2) | max above it, % | min below it, % |
// | capacitor | temperature |

var packet = 0x32;
var low_volts = 3.4;

function decodeUplink(input) {
  var b = input.bytes;
  if (input.fPort !== 3) return { errors: ["port " + input.fPort + ", expected 3"] };
  if (b.length !== 11 || b[0] !== packet) return { errors: ["not a measurement (0x32, 11 bytes)"] };
  var mean = (b[5] << 8 | b[6]) / 10;
  var data = {
    ampHourAccumulation: ((b[1] << 24 | b[2] << 16 | b[3] << 8 | b[4]) >>> 0) / 10,
    averageAmps: mean,
    maximumAmps: mean * (100 + b[7]) / 100,
    minimumAmps: mean * (100 - b[8]) / 100,
    capacitorVoltage: b[9] * 5 / 255,
    temperatureCelsius: b[10] * 120 / 255 - 40,
  };
  return { data: data, errors: [], warnings: warnings(data.capacitorVoltage) };
}

function warnings(volts) {
  return volts < low_volts ? ["Low capacitor voltage may reduce transmit interval."] : [];
}
