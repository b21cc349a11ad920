# SPDX-License-Identifier: Apache-2.0
# What takes the power, and what makes a call fail: loaded before the daemon (*.so), and the programs around it.
SHIMC = $(CC) -std=c11 -D_GNU_SOURCE -O2 -g -Wall -Wextra -Wshadow -Wconversion -Werror -fno-builtin-malloc

$V/shim/%.so: test/shim/%.c test/shim/power.h test/shim/open.h
	@mkdir -p $(@D)
	@echo "  cc $@"
	@$(SHIMC) -fPIC -shared -fvisibility=hidden -o $@ $< -lpthread

$V/shim/%: test/shim/%.c test/shim/power.h
	@mkdir -p $(@D)
	@echo "  cc $@"
	@$(SHIMC) -o $@ $<
