# SPDX-License-Identifier: Apache-2.0
# The developer's other words.
.PHONY: build floors faces fmt help clean

floors:                          ## the include rule: silent when nothing looks up
	@dist/floors.sh

faces:                           ## each header compiles alone
	@for h in src/*/*.h sim/*.h; do [ -f "$$h" ] || continue; \
	    $(CC) $(ALL) -fsyntax-only -include base/base.h -x c $$h || exit 1; done

fmt:                             ## lay the sources out
	clang-format -i $$(find src sim test -name '*.[ch]')

help:                            ## this list
	@sed -n 's/^\([a-z-]*\):.*## */  make \1\t/p' Makefile dist/verbs.mk | expand -t 18

clean:                           ## forget what was built
	rm -rf build
