/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HOTARU_SIM_H
#define HOTARU_SIM_H

/*
 * sim: the city in a box. `hotaru sim` is a process of its own: gateways and devices that speak
 * real Semtech UDP to whoever listens, and a world behind the readings. It includes no stage of the
 * daemon.
 *
 *   sim.c      the options, and one loop                   run.c  carries out what happens next
 *   place.c    the city: outline, schools, rivers; where gateways and devices stand
 *   world.c    seeded chance and the world's clock         sky.c   rain, snow, temperature
 *   river.c    levels along the rivers                     snow.c  the snow-melting pumps
 *   street.c   parking, paddies, children on their way     payload.c  readings as bytes
 *   device.c   a LoRaWAN 1.0.3 class A device              command.c  its MAC commands
 *   turn.c     when a device sends, repeats, joins         agenda.c   what happens next
 *   radio.c    who hears whom                              air.c   what is on the air now
 *   gateway.c, door.c  a packet forwarder, socket.c its sockets   jit.c  its queue of downlinks
 *   keep.c     what a restart must remember                enrol.c lists for the daemon, http.c
 *   load.c     a load of frames for the benches            watch.c what comes out of the stream
 */
#include "base/base.h"

/* `hotaru sim …`; argv[0] is the word "sim". Returns the exit code. */
int sim_main(int argc, char **argv);

/*
 * The devices and gateways of `hotaru sim --load`: sessions of a bench that derive from their
 * number alone, so that the daemon can be given the same ones. They protect nothing.
 */
void sim_bench_device(u64 n, u64 *dev_eui, u32 *devaddr, u8 nwk_s_key[16], u8 app_s_key[16]);
u64  sim_bench_gateway(u64 n);

#endif
