// SPDX-License-Identifier: Apache-2.0
// Digital Matter G62: vehicle tracker. Written for Hotaru from the examples, little-endian:
//   port 1   part 1, then part 2
//   port 2   | latitude (4) | longitude (4) | heading | speed | battery |
//   port 3   | external voltage (2) | analogue input (2) | temperature | accuracy | time (2) |
// The low four bits of latitude and longitude carry flags; the position is what stays.

var trips = ["None", "Ignition", "Movement", "Run Detect"];
var part1_bytes = 11;
var part2_bytes = 8;

function decodeUplink(input) {
  var b = input.bytes;
  var need = [0, part1_bytes + part2_bytes, part1_bytes, part2_bytes][input.fPort];
  if (!need) return { errors: ["port " + input.fPort + " carries no position"] };
  if (b.length < need) return { errors: ["shorter than " + need + " bytes"] };
  var data = { _type: ["", "full data", "data part 1", "data part 2"][input.fPort] };
  if (input.fPort !== 3) part1(data, b);
  if (input.fPort !== 2) part2(data, b, input.fPort === 1 ? part1_bytes : 0, input.recvTime);
  return { data: data };
}

function part1(data, b) {
  data.tripType = trips[b[0] & 3];
  data.latitudeDeg = i32(b, 0) / 1e7;
  data.longitudeDeg = i32(b, 4) / 1e7;
  data.vExtGood = (b[0] & 4) !== 0;
  data.gpsCurrent = (b[0] & 8) !== 0;
  data.ignition = (b[4] & 1) !== 0;
  data.digIn1 = (b[4] & 2) !== 0;
  data.digIn2 = (b[4] & 4) !== 0;
  data.digOut = (b[4] & 8) !== 0;
  data.headingDeg = b[8] * 2;
  data.speedKmph = b[9];
  data.batV = b[10] * 20 / 1000;
}

function part2(data, b, at, recvTime) {
  data.vExt = u16(b, at) / 1000;
  data.vAin = u16(b, at + 2) / 1000;
  data.tempC = b[at + 4] << 24 >> 24;
  data.gpsAccM = b[at + 5];
  data.timestamp = u16(b, at + 6);
  data.time = new Date(whole(data.timestamp, recvTime) * 1000).toISOString();
}

// The tracker sends Unix time modulo 65535. The whole of it is the latest such second that is not
// more than half an hour after reception (its clock may run ahead of ours).
function whole(seconds, recvTime) {
  var latest = Math.floor(new Date(recvTime).getTime() / 1000) + 1800;
  return latest - (latest - seconds) % 65535;
}

function u16(b, at) { return b[at] | b[at + 1] << 8; }
function i32(b, at) { return (b[at] & 0xf0) | b[at + 1] << 8 | b[at + 2] << 16 | b[at + 3] << 24; }
