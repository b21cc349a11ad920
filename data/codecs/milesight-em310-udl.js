// SPDX-License-Identifier: Apache-2.0
// Milesight EM310-UDL: distance by ultrasound (water level, waste container).
// Written for Hotaru from the example and the vendor's payload tables: one channel byte, one type
// byte, then a value of the length the pair names, little-endian.

//        bytes, what it says
var channels = {
  "0175": [1, function (d, b, i) { d.battery = b[i]; }],
  "0382": [2, function (d, b, i) { d.distance = u16(b, i); }],
  "0400": [1, function (d, b, i) { d.tilt = b[i] ? "tilt" : "normal"; }],
  "ff03": [2, function (d, b, i) { d.report_interval = u16(b, i); }],
  "ff10": [1, function (d) { d.reboot = "yes"; }],
  "ff01": [1, function (d, b, i) { d.ipso_version = "v" + (b[i] >> 4) + "." + (b[i] & 15); }],
  "ff09": [2, function (d, b, i) { d.hardware_version = "v" + b[i] + "." + (b[i + 1] >> 4); }],
  "ff0a": [2, function (d, b, i) { d.firmware_version = "v" + b[i] + "." + b[i + 1]; }],
  "ff0b": [1, function (d) { d.device_status = "on"; }],
  "ff0f": [1, function (d, b, i) { d.lorawan_class = ["Class A", "Class B", "Class C"][b[i]]; }],
  "ff16": [8, function (d, b, i) { d.sn = b.slice(i, i + 8).map(hex).join(""); }],
};

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

// | ff 03 | seconds between reports (2) |, | ff 10 ff | restart
function encodeDownlink(input) {
  var data = input.data || {};
  var bytes = [];
  if (data.report_interval >= 1 && data.report_interval <= 64800)
    bytes.push(0xff, 0x03, data.report_interval & 255, data.report_interval >> 8);
  if (data.reboot === "yes") bytes.push(0xff, 0x10, 0xff);
  if (!bytes.length) return { errors: ["report_interval (1..64800 s) or reboot: \"yes\""] };
  return { fPort: 85, bytes: bytes };
}

function decodeDownlink(input) { return decodeUplink(input); }

function hex(byte) { return (byte < 16 ? "0" : "") + byte.toString(16); }
function u16(b, i) { return b[i] | b[i + 1] << 8; }
