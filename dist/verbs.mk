# SPDX-License-Identifier: Apache-2.0
# The developer's words. JOBS: two cores are the machine we aim at.
JOBS ?= -j2
T    ?=
SCENE ?=
SEED ?=
HOURS ?=
.PHONY: build portal run test city check loops long bench fuzz unit floors faces fmt cover help clean

PORTAL := $(shell find portal/src portal/public portal/build.mjs portal/package.json portal/package-lock.json 2>/dev/null)
portal: portal/dist/index.html   # the screens, by npm
portal/dist/index.html: $(PORTAL)
	cd portal && npm ci --silent --no-audit --no-fund && npm run --silent build
	@touch $@

run:                             ## install what is missing, build, run the demo city and print the address to open
	@dist/setup.sh run
	@$(MAKE) $(JOBS) -s portal
	@$(MAKE) $(JOBS) -s build/hotaru
	@exec build/hotaru demo --data demo

test:                            ## install what tests need, build, run all tests; T=word: the unit tests with that word
	@dist/setup.sh test
	@$(MAKE) $(JOBS) -s portal
	@$(MAKE) $(JOBS) -s build/hotaru build/unit build/city build/replay build/replay-scene
ifeq ($(T),)
	@test/run.sh portal unit replay box scenes peer station mqtt badinput crash browser
else
	@build/unit -v $(T)
endif

check:                           ## floors, faces, gcc and clang with -Werror, ASan and UBSan, coverage
	@dist/setup.sh check
	@$(MAKE) $(JOBS) -s portal
	@test/run.sh house sanitized cover

loops:                           ## kills, power cuts, n-th failures, full disks, fuzzers for a bounded time
	@dist/setup.sh test check
	@$(MAKE) $(JOBS) -s portal
	@$(MAKE) $(JOBS) -s build/hotaru build/city
	@KILLS=$${KILLS:-1000} CUTS=$${CUTS:-1000} CITIES=$${CITIES:-250} FUZZ_SECONDS=$${FUZZ_SECONDS:-60} test/lanes.sh

city:                            ## the simulated city: all scenes, then seeds; SCENE=x, or SEED=n [HOURS=h]: that one again, with its log
	@dist/setup.sh run
	@$(MAKE) $(JOBS) -s portal
	@$(MAKE) $(JOBS) -s build/city
	@test/scene/city.sh "$(SCENE)" "$(SEED)" "$(HOURS)"

long:                            ## ten times the kills and cuts, longer fuzzers, an hour's soak: about two hours
	@dist/setup.sh test check
	@$(MAKE) $(JOBS) -s portal
	@$(MAKE) $(JOBS) -s build/hotaru build/city
	@KILLS=10000 CUTS=10000 NTH=600 ROTS=5000 FUZZ_SECONDS=300 SOAK=60 CITIES=500 test/lanes.sh

bench:                           ## uplinks/s/core, first copy to subscriber, memory a device
	@dist/setup.sh test
	@$(MAKE) $(JOBS) -s portal
	@$(MAKE) $(JOBS) -s build/hotaru
	@test/bench/run.sh

fuzz:                            ## one fuzz target: make fuzz F=frame [S=60]; none: all, two at a time
	@dist/setup.sh check
	@$(MAKE) $(JOBS) -s portal
	@test/fuzz/run.sh $(or $(S),60) $(F)

floors:                          ## the include rule: silent when nothing looks up
	@dist/floors.sh

faces:                           ## each header compiles alone
	@for h in src/*/*.h sim/*.h; do echo "#include \"$${h#src/}\"" | \
	    $(CC) $(ALL) -fsyntax-only -x c - || exit 1; done

fmt:                             ## lay out what you changed since the last commit (git clang-format)
	git clang-format --extensions c,h HEAD || true

help:                            ## this list
	@sed -n 's/^\([a-z-]*\):[^#]*## */  make \1\t/p' Makefile dist/verbs.mk | expand -t 18

clean:                           ## forget what was built
	rm -rf build build-* portal/dist

include test/fuzz/rules.mk
include test/shim/rules.mk
include test/cover/rules.mk
