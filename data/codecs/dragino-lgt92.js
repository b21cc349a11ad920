// SPDX-License-Identifier: Apache-2.0
// Dragino LGT-92: GPS tracker. Written for Hotaru from the example and the user manual, big-endian:
// | latitude (4) | longitude (4) | alarm, battery (2) | flags |
// | roll (2) | pitch (2) | HDOP | altitude (2) |
// "LON" is the LED, not the longitude. The example calls the mode bits 01 "Disable", where the
// manual has "Move": the published form is kept, so MD says nothing about movement.

var modes = ["Disable", "Disable", "Collide", "User"];

function decodeUplink(input) {
  var b = input.bytes;
  if (b.length < 15) return { errors: ["shorter than 15 bytes"] };
  return {
    data: {
      latitude: i32(b, 0) / 1e6,
      longitude: i32(b, 4) / 1e6,
      ALARM_status: b[8] & 0x40 ? "TRUE" : "FALSE",
      BatV: ((b[8] & 0x3f) << 8 | b[9]) / 1000,
      MD: modes[b[10] >> 6],
      LON: b[10] & 0x20 ? "ON" : "OFF",
      FW: 160 + (b[10] & 0x1f),
      Roll: i16(b, 11) / 100,
      Pitch: i16(b, 13) / 100,
      hdop: b.length > 15 ? b[15] / 100 : 0,
      altitude: b.length > 17 ? i16(b, 16) / 100 : 0,
    },
  };
}

function i16(b, at) { return b[at] << 24 >> 16 | b[at + 1]; }
function i32(b, at) { return b[at] << 24 | b[at + 1] << 16 | b[at + 2] << 8 | b[at + 3]; }
