// SPDX-License-Identifier: Apache-2.0
// Dragino LDDS75, older generation: | battery (2) | distance, mm (2) | interrupt |.
// Written for Hotaru from the example and the user manual. A node that finds no probe leaves the
// last byte out: the two bytes before it are then no distance.

function decodeUplink(input) {
  var b = input.bytes;
  if (b.length < 4 || b.length > 5) return { errors: ["neither 4 nor 5 bytes"] };
  if (b.length === 4) return { data: { distance: "No Sensor" } };
  return {
    data: {
      battery: ((b[0] << 8 | b[1]) & 0x3fff) / 1000,
      distance: distance(b[2] << 8 | b[3]),
      interrupt: b[4],
    },
  };
}

function distance(mm) {
  if (mm === 0) return "No Sensor";
  return mm < 20 ? "Invalid Reading" : mm;
}
