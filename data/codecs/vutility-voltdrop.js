// SPDX-License-Identifier: Apache-2.0
// Vutility VoltDrop: voltage, phase and current of three phases. Written for Hotaru from the
// example, big-endian:
// | 0x26 | voltage / 64 (3 x 2) | phase (3) | capacitor |
// | current / 16 (3 x 2) | peak (3) | temperature |
// The peak of a phase is its current times 1 + raw / 32.

var packet = 0x26;
var low_volts = 3.4;

function decodeUplink(input) {
  var b = input.bytes;
  if (input.fPort !== 3) return { errors: ["port " + input.fPort + ", expected 3"] };
  if (b.length !== 21 || b[0] !== packet) return { errors: ["not a measurement (0x26, 21 bytes)"] };
  var data = {};
  for (var phase = 0; phase < 3; phase++) {
    var amps = u16(b, 11 + 2 * phase) / 16;
    data["voltageL" + (phase + 1)] = u16(b, 1 + 2 * phase) / 64;
    data["phaseAngleL" + (phase + 1)] = b[7 + phase] * 360 / 255;
    data["currentL" + (phase + 1)] = amps;
    data["maxCurrentL" + (phase + 1)] = amps * (1 + b[17 + phase] / 32);
  }
  data.capacitorVoltage = b[10] * 5 / 255;
  data.temperatureCelsius = b[20] * 120 / 255 - 40;
  return { data: data, errors: [], warnings: warnings(data.capacitorVoltage) };
}

function u16(b, at) { return b[at] << 8 | b[at + 1]; }

function warnings(volts) {
  return volts < low_volts ? ["Low capacitor voltage may reduce transmit interval."] : [];
}
