# SPDX-License-Identifier: Apache-2.0
# One word for each thing a developer does; `make help` prints them. The words themselves stand in dist/verbs.mk.
MAKEFLAGS += --no-builtin-rules
ifeq ($(origin CC),default)
CC      := gcc
endif
V       := build
VERSION := $(shell cat VERSION)
FLOORS  := $(shell sed -n 's/^\([a-z]*\):.*/\1/p' FLOORS)
SRC     := $(foreach f,$(filter-out sim box,$(FLOORS)),$(sort $(wildcard src/$f/*.c))) $(sort $(wildcard sim/*.c))
TESTS   := $(filter %_test.c src/base/test.c,$(SRC))
PARTS   := $(filter-out $(TESTS),$(SRC))
MAIN    := src/main/main.c
# The box is the second body of these.
BODIES  := $(addprefix src/,sys/clock.c sys/file.c sys/loop.c sys/udp.c sys/tcp.c sys/connect.c edge/http.c edge/codec_child.c edge/codec_worker.c \
           main/main.c main/verbs.c main/client.c main/replay.c) $(addprefix sim/,sim.c socket.c keep.c load.c watch.c)
BOX     := $(sort $(wildcard box/*.c))
EMBED   := $(sort $(shell find schema data portal/dist -type f ! -name '*.md' ! -name '.*' 2>/dev/null))
PKGS    := libuv libmicrohttpd sqlite3 libpq libssl libcrypto libseccomp
CFLAGS  ?= -O2 -g
ALL     := -std=c11 -D_GNU_SOURCE -DHOTARU_VERSION='"$(VERSION)"' -Wall -Wextra -Wshadow -Wconversion -Werror \
           -Wstrict-prototypes -fno-omit-frame-pointer -Isrc -I. $(shell pkg-config --cflags $(PKGS) 2>/dev/null)
# gcc's sanitizers see a null where there is none (base/arena.c, vsnprintf twice).
SANWARN  = $(if $(SAN),$(if $(findstring gcc,$(CC)),-Wno-format-truncation))
LIBS     = $(shell pkg-config --libs $(PKGS)) -lm -lpthread -ldl
obj      = $(patsubst %.c,$V/o/%.o,$1)

# The screens are made first: what is embedded is listed when make reads this file.
build:                           ## build build/hotaru (and the screens inside it)
	@dist/setup.sh run
	@$(MAKE) --no-print-directory portal
	@$(MAKE) --no-print-directory $V/hotaru

$V/hotaru: $(call obj,$(PARTS)) $V/embedded.o
	@echo "  ld $@"
	@$(CC) $(CFLAGS) $(SAN) -o $@ $^ $(LIBS)

$V/unit: $(call obj,$(filter-out $(MAIN),$(PARTS)) $(TESTS)) $V/embedded.o $V/hotaru
	@echo "  ld $@"
	@$(CC) $(CFLAGS) $(SAN) -o $@ $(filter %.o,$^) $(LIBS)

# The city in a box: the daemon's own objects under another clock, disk and network.
$V/city: $(call obj,$(filter-out $(BODIES),$(PARTS)) $(filter-out %_test.c,$(BOX))) $V/embedded.o
	@echo "  ld $@"
	@$(CC) $(CFLAGS) $(SAN) -o $@ $^ $(LIBS)

# The box's own facts: its disk, with the store on it, and its doors.
BOXTEST := $(filter-out %_test.c,$(wildcard src/base/*.c src/db/*.c src/wire/json*.c)) src/sys/lock.c sim/world.c box/disk.c box/vfs.c box/disk_test.c \
           $(addprefix src/,sys/address.c edge/codec_words.c edge/http_answer.c) $(addprefix box/,net.c door.c codec.c doors_test.c)
$V/boxtest: $(call obj,$(BOXTEST)) $V/embedded.o
	@echo "  ld $@"
	@$(CC) $(CFLAGS) $(SAN) -o $@ $^ $(LIBS)

$V/o/%_test.o: ALL += -DHOTARU_SOURCE='"$(CURDIR)"' -DHOTARU_BUILD='"$(CURDIR)/$V"'
$V/o/%.o: %.c Makefile VERSION
	@mkdir -p $(@D)
	@echo "  cc $@"
	@$(CC) $(CFLAGS) $(SAN) $(ALL) $(SANWARN) -MMD -MP -c -o $@ $<

$V/embedded.o: $(EMBED) dist/embed.sh Makefile
	@mkdir -p $(@D)
	@dist/embed.sh . $(EMBED) > $V/embedded.S
	@$(CC) -c -o $@ $V/embedded.S

-include $(shell find $V/o -name '*.d' 2>/dev/null)
include dist/verbs.mk
