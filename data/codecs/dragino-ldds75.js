// SPDX-License-Identifier: Apache-2.0
// Dragino LDDS75: distance by ultrasound (water level). Written for Hotaru from the example and the
// user manual:
// | battery (2) | distance, mm (2) | interrupt | DS18B20 temperature (2) | sensor flag |
// For the frames of the older generation see dragino-ldds75-v1.js.

function decodeUplink(input) {
  var b = input.bytes;
  if (b.length < 8) return { errors: ["shorter than 8 bytes: perhaps an older generation"] };
  return {
    data: {
      Bat: ((b[0] << 8 | b[1]) & 0x3fff) / 1000,
      Distance: distance(b[2] << 8 | b[3]),
      Interrupt_flag: b[4],
      // A string with two places, as the vendor gives it; the profile makes it a number.
      TempC_DS18B20: ((b[5] << 24 >> 16 | b[6]) / 10).toFixed(2),
      Sensor_flag: b[7],
    },
  };
}

// 0: no probe answers. Under 20: an echo inside the blind zone.
function distance(mm) {
  if (mm === 0) return "No Sensor";
  return mm < 20 ? "Invalid Reading" : mm;
}
