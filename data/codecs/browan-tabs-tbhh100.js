// SPDX-License-Identifier: Apache-2.0
// Browan TABS TBHH100: temperature and humidity of a room. Written for Hotaru from the examples and
// the TABS reference manuals: | status | battery | temperature | humidity | CO2 (2) | VOC (2) |.
// 0xffff in CO2 and VOC says that this model has no such sensor; the published form shows it as 0.

function decodeUplink(input) {
  var b = input.bytes;
  if (b.length < 8) return { errors: ["shorter than 8 bytes"] };
  return {
    data: {
      fPort: input.fPort,
      battery_volt: (25 + (b[1] & 0x0f)) / 10,
      temperature: (b[2] & 0x7f) - 32,
      humidity: b[3] & 0x7f,
      thh_type: b[0] & 0x07,
      CO2: present(b[4] | b[5] << 8),
      VOC: present(b[6] | b[7] << 8),
    },
  };
}

function present(raw) { return raw === 0xffff ? 0 : raw; }
