// SPDX-License-Identifier: Apache-2.0
// Hotaru's demo snow-melting pump (消雪ポンプ). Port 2, big-endian:
// | bits | pressure, 0.1 kPa (2) | current, 0.01 A (2) | air, 0.1 °C (2) |
// | water table below ground, cm (2) | battery, % |        bits: 0 the pump runs, 1 it snows

function decodeUplink(input) {
  var b = input.bytes;
  if (input.fPort !== 2) return { errors: ["port " + input.fPort + ", expected 2"] };
  if (b.length !== 10) return { errors: [b.length + " bytes, expected 10"] };
  return {
    data: {
      pump: b[0] & 1 ? "on" : "off",
      snowfall: (b[0] & 2) !== 0,
      pressure: u16(b, 1) / 10,
      current: u16(b, 3) / 100,
      temperature: (b[5] << 24 >> 16 | b[6]) / 10,
      water_table: u16(b, 7) / 100,
      battery: b[9],
    },
  };
}

// Port 10: one byte, 1 runs the pump, 0 stops it.
function encodeDownlink(input) {
  var pump = (input.data || {}).pump;
  if (pump !== "on" && pump !== "off") return { errors: ["pump must be \"on\" or \"off\""] };
  return { fPort: 10, bytes: [pump === "on" ? 1 : 0] };
}

function decodeDownlink(input) {
  var b = input.bytes;
  if (input.fPort !== 10 || b.length !== 1 || b[0] > 1) return { errors: ["not a pump command"] };
  return { data: { pump: b[0] === 1 ? "on" : "off" } };
}

function u16(b, at) { return b[at] << 8 | b[at + 1]; }
