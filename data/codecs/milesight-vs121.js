// SPDX-License-Identifier: Apache-2.0
// Milesight VS121: people counting by camera; only numbers leave the device.
// Written for Hotaru from the example and the vendor's payload tables: one channel byte, one type
// byte, then a value of the length the pair names, little-endian.
// The mask of occupied regions: the vendor's table gives region n the bit n (2 is then 0,1,0); the
// published example reads 2 as 1,1,0. The example is followed; use people_counter_all for figures.

//        bytes, what it says
var channels = {
  "04c9": [4, function (d, b, i) {
    d.people_counter_all = b[i];
    d.region_count = b[i + 1];
    d.regions = [];
    for (var r = 0; r < d.region_count && r < 16; r++)
      d.regions.push({ index: r, count: (b[i + 2] << 8 | b[i + 3]) >> r ? 1 : 0 });
  }],
  "05cc": [4, function (d, b, i) { d.in = u16(b, i); d.out = u16(b, i + 2); }],
  "06cd": [1, function (d, b, i) { d.people_max = b[i]; }],
  "07d5": [8, function (d, b, i) { people(d, b, i, 0); }],
  "08d5": [8, function (d, b, i) { people(d, b, i, 8); }],
  "0dcc": [4, function (d, b, i) { d.total_in = u16(b, i); d.total_out = u16(b, i + 2); }],
  "ff01": [1, function (d, b, i) { d.protocol_version = b[i]; }],
  "ff08": [6, function (d, b, i) { d.sn = b.slice(i, i + 6).map(hex).join(""); }],
  "ff09": [2, function (d, b, i) { d.hardware_version = "v" + b[i] + "." + b[i + 1]; }],
  "ff1f": [4, function (d, b, i) { d.firmware_version = "v" + b.slice(i, i + 4).join("."); }],
};

function people(d, b, at, from) {
  d.region_people = d.region_people || [];
  for (var r = 0; r < 8; r++) d.region_people[from + r] = b[at + r];
}

function decodeUplink(input) {
  var b = input.bytes;
  var data = {};
  for (var at = 0; at + 2 <= b.length;) {
    var name = hex(b[at]) + hex(b[at + 1]);
    var channel = channels[name];
    if (!channel) return { data: data, errors: ["channel " + name + " is not known"] };
    if (at + 2 + channel[0] > b.length)
      return { data: data, errors: ["channel " + name + " is cut short"] };
    channel[1](data, b, at + 2);
    at += 2 + channel[0];
  }
  if (at < b.length) return { data: data, errors: ["a channel without a type"] };
  return { data: data };
}

function hex(byte) { return (byte < 16 ? "0" : "") + byte.toString(16); }
function u16(b, i) { return b[i] | b[i + 1] << 8; }
