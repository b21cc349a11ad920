#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The same seed gives the same log, byte for byte, with two compilers at two levels of optimisation (promise R27).
cd "$(dirname "$0")/../.." || exit 2
passed=0 failed=0 first=
for way in "gcc -O2" "gcc -O0" "clang -O2" "clang -O0"; do
    cc=${way% *} level=${way#* }
    folder=build-same-$cc$level
    [ "$way" != "gcc -O2" ] || folder=build
    make -s -j2 V="$folder" CC="$cc" CFLAGS="$level -g" "$folder/city" > /dev/null || exit 2
    log=$("$folder/city" --seed 7 --hours 1 -v | grep -v ' in [0-9.]* s;' | sha256sum | cut -c1-16)
    : "${first:=$log}"
    if [ "$log" = "$first" ]; then passed=$((passed + 1)); else failed=$((failed + 1)); fi
    echo "$way: seed 7 gives the log $log"
done
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
