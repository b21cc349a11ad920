# SPDX-License-Identifier: Apache-2.0
# A build that counts lines: CFLAGS with --coverage, by gcc. keep.c says what else such a program is linked with, and why.
ifneq ($(findstring --coverage,$(CFLAGS)),)
ALL  += -fdata-sections -fprofile-update=atomic
LIBS += -Wl,-T,test/cover/counters.ld
$(addprefix $V/,hotaru unit city boxtest replay replay-scene): $V/o/test/cover/keep.o
$V/o/test/cover/keep.o: test/cover/counters.ld
$V/o/test/cover/keep.o: ALL += -fno-profile-arcs -fno-test-coverage -DCOVER_KEEPERS='"$(CURDIR)/$V/keepers"'
endif
