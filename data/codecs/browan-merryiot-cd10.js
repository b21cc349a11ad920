// SPDX-License-Identifier: Apache-2.0
// Browan MerryIoT CD10: CO2, temperature, humidity. From the owner's manual, §4.1:
// | status | battery | temperature | humidity | CO2 (2, little-endian) | on port 127.

function decodeUplink(input) {
  var b = input.bytes;
  if (input.fPort !== 127) return { errors: ["port " + input.fPort + ", expected 127"] };
  if (b.length < 6) return { errors: ["shorter than 6 bytes"] };
  return {
    data: {
      battery_volt: (21 + (b[1] & 0x0f)) / 10,
      temperature: b[2] << 24 >> 24,
      humidity: b[3] & 0x7f,
      trigger: b[0] & 1,
      button: b[0] >> 1 & 1,
      co2threshold: b[0] >> 4 & 1,
      co2calibration: b[0] >> 5 & 1,
      co2_ppm: b[4] | b[5] << 8,
    },
  };
}
