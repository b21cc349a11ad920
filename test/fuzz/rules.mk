# SPDX-License-Identifier: Apache-2.0
# Fuzz targets, one file each: $V/fuzz-NAME with libFuzzer (test/fuzz/run.sh says how), and $V/replay, which
# runs the kept files through all of them. A target takes what it needs out of an archive of the sources.
FUZZERS   := $(filter-out replay scene,$(patsubst test/fuzz/%.c,%,$(sort $(wildcard test/fuzz/*.c))))
FUZZ_KIT  := $(sort $(wildcard test/fuzz/kit/*.c))
COMMA     := ,
# The seams at which a target stands in for the world; kit/ says of each what it does there.
FUZZ_WRAP := $(patsubst %,-Wl$(COMMA)--wrap=%,db_bind_str boot_take boot_release MHD_start_daemon)

$V/pieces.a: $(call obj,$(filter-out $(MAIN),$(filter src/%,$(PARTS))) $(FUZZ_KIT)) $V/embedded.o
	@rm -f $@ && ar rcs $@ $^

$V/fuzz-%: $V/o/test/fuzz/%.o $V/pieces.a
	@echo "  ld $@"
	@$(CC) $(CFLAGS) $(subst fuzzer-no-link,fuzzer,$(SAN)) -o $@ $^ $(FUZZ_WRAP) $(LIBS)

$V/o/test/fuzz/replay.o: $(wildcard test/fuzz/*.c)
$V/o/test/fuzz/replay.o: ALL += -D'FUZZ_TARGETS(X)=$(patsubst %,X(%),$(FUZZERS))'
$V/o/replay/%.o: test/fuzz/%.c Makefile
	@mkdir -p $(@D)
	@$(CC) $(CFLAGS) $(SAN) $(ALL) $(SANWARN) -DFUZZ_NAME=fuzz_$* -MMD -MP -c -o $@ $<

$V/replay: $V/o/test/fuzz/replay.o $(patsubst %,$V/o/replay/%.o,$(FUZZERS)) $V/pieces.a
	@echo "  ld $@"
	@$(CC) $(CFLAGS) $(SAN) -o $@ $^ $(FUZZ_WRAP) $(LIBS)

# What stands in the box (box/box.h) has another body for the system than the daemon: programs of its own.
$V/boxed.a: $(call obj,$(filter-out $(BODIES) $(MAIN),$(PARTS)) $(filter-out %_test.c box/main.c,$(BOX))) $V/o/box/no-main.o $V/embedded.o
	@rm -f $@ && ar rcs $@ $^

$V/o/box/no-main.o: ALL += -Dmain=box_main
$V/o/box/no-main.o: box/main.c Makefile
	@mkdir -p $(@D)
	@$(CC) $(CFLAGS) $(SAN) $(ALL) $(SANWARN) -MMD -MP -c -o $@ $<

$V/fuzz-scene: $V/o/test/fuzz/scene.o $V/boxed.a
	@echo "  ld $@"
	@$(CC) $(CFLAGS) $(subst fuzzer-no-link,fuzzer,$(SAN)) -o $@ $^ $(LIBS)

$V/o/replay-scene.o: ALL += -D'FUZZ_TARGETS(X)=X(scene)'
$V/o/replay-scene.o: test/fuzz/replay.c Makefile
	@mkdir -p $(@D)
	@$(CC) $(CFLAGS) $(SAN) $(ALL) $(SANWARN) -MMD -MP -c -o $@ $<

$V/replay-scene: $V/o/replay-scene.o $V/o/replay/scene.o $V/boxed.a
	@echo "  ld $@"
	@$(CC) $(CFLAGS) $(SAN) -o $@ $^ $(LIBS)
