// SPDX-License-Identifier: Apache-2.0
// Yobiiq EM2101: one-phase electricity meter with a relay. Written for Hotaru from the examples,
// big-endian. Port 50: device information, | ff | code | value |; ports 1..10: registers,
// | register | value (4) |; one byte alone answers a downlink.

var about = {
  codecVersion: "1.0.1", genericModel: "EM2101", productCode: "P1002009",
  manufacturer: "YOBIIQ B.V.",
};
//        code   bytes, what it says
var info = {
  0x00: [1, function (d, b, i) { d.relayStatus = b[i] ? "HIGH" : "LOW"; }],
  0x09: [2, function (d, b, i) { d.hardwareVersion = version(b, i); }],
  0x0a: [2, function (d, b, i) { d.firmwareVersion = version(b, i); }],
  0x0b: [1, function (d, b, i) { d.powerEvent = b[i] ? "AC Power On" : "AC Power Off"; }],
  0x0f: [1, function (d, b, i) { d.deviceClass = "Class " + ("ABC"[b[i]] || b[i]); }],
  0x16: [4, function (d, b, i) { d.deviceSerialNumber = u32(b, i); }],
};
//        register  name, unit
var registers = {
  0x00: ["index"],
  0x01: ["timestamp"],
  0x03: ["dataloggerTimestamp"],
  0x04: ["activeEnergyImportL1T1", "Wh"],
  0x05: ["activeEnergyImportL1T2", "Wh"],
  0x06: ["activeEnergyExportL1T1", "Wh"],
  0x07: ["activeEnergyExportL1T2", "Wh"],
};

function decodeUplink(input) {
  var b = input.bytes;
  var data = {};
  var errors = [];
  if (input.fPort === 0) {
    data.mac = "MAC command received";
    data.fPort = 0;
  } else if (b.length === 1) {
    answer(data, b[0]);
  } else if (input.fPort === 50) {
    errors = read_info(data, b);
  } else if (input.fPort >= 1 && input.fPort <= 10) {
    errors = read_registers(data, b);
  } else {
    errors = ["port " + input.fPort + " is not known"];
  }
  for (var name in about) data[name] = about[name];
  return { data: data, errors: errors };
}

function answer(data, code) {
  if (code === 0) data.info = "Downlink command succeeded";
  else data.warning = "Downlink command failed";
}

function read_info(data, b) {
  for (var at = 0; at < b.length;) {
    var code = b[at] === 0xff && info[b[at + 1]];
    if (!code) return ["device information that is not known"];
    if (at + 2 + code[0] > b.length) return ["device information is cut short"];
    code[1](data, b, at + 2);
    at += 2 + code[0];
  }
  return [];
}

function read_registers(data, b) {
  for (var at = 0; at < b.length; at += 5) {
    var register = registers[b[at]];
    if (!register) return ["register " + b[at] + " is not known"];
    if (at + 5 > b.length) return ["register " + b[at] + " is cut short"];
    data[register[0]] = { data: u32(b, at + 1) };
    if (register[1]) data[register[0]].unit = register[1];
  }
  return [];
}

function version(b, i) { return "V" + b[i] + "." + b[i + 1]; }
function u32(b, i) { return (b[i] << 24 | b[i + 1] << 16 | b[i + 2] << 8 | b[i + 3]) >>> 0; }
