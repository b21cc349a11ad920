#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# test/fuzz/run.sh SECONDS [TARGET]: builds each target with clang's fuzzer and sanitizers, replays what
# once crashed it (test/fuzz/regress/TARGET) and its corpus, then fuzzes it for so long. A new crash is
# kept under regress/, to be committed with its cure.
cd "$(dirname "$0")/../.." || exit 2
seconds=${1:-30}
only=${2:-}
clang=${CLANG:-clang}
work=build/fuzz
mkdir -p "$work"
passed=0 failed=0

# A target links the folders below it, and nothing that needs a world.
sources() {
    case $1 in
        frame | command) echo src/base src/wire src/lora ;;
        *) echo src/base src/wire ;;
    esac | tr ' ' '\n' | while read -r folder; do ls "$folder"/*.c; done | grep -v -e '_test\.c$' -e '/test\.c$'
}

# Inputs of other suites are seeds too: wrapped as whole datagrams where the target wants those.
seeds() {
    into=$work/$1.seeds
    rm -rf "$into" && mkdir -p "$into"
    for d in "test/fuzz/corpus/$1" "test/fuzz/regress/$1"; do
        [ -d "$d" ] && find "$d" -type f -exec cp {} "$into" \;
    done
    if [ "$1" = udp ]; then
        cp test/corpus/udp/*.bin "$into"
        for f in test/corpus/rxpk/*.json; do
            { printf '\002\001\002\000\300\000\000\000\000\000\000\301{"rxpk":['
              sed -e 's/@DATA@/QAECAwQAAAABAgME/; s/@SIZE@/12/; s/@[A-Z]*@/{}/g' "$f"
              printf ']}'; } > "$into/rxpk-$(basename "$f" .json)"
        done
    fi
    [ "$1" = json ] && cp test/corpus/rxpk/*.json "$into"
    echo "$into"
}

fuzz() {
    target=$1
    # shellcheck disable=SC2046
    if ! "$clang" -std=c11 -D_GNU_SOURCE -O1 -g -Isrc -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all \
        -o "$work/$target" "test/fuzz/$target.c" $(sources "$target") $(pkg-config --libs libcrypto) -lm 2> "$work/$target.log"; then
        tail -n 20 "$work/$target.log"
        echo "$target: does not build"
        return 1
    fi
    into=$(seeds "$target")
    mkdir -p "$work/$target.corpus" "test/fuzz/regress"
    rm -f "$work/$target-"*
    if ! "$work/$target" -runs=0 -artifact_prefix="$work/$target-" "$into" > "$work/$target.log" 2>&1; then
        tail -n 30 "$work/$target.log"
        echo "$target: a seed or an old crash fails"
        return 1
    fi
    if ! "$work/$target" -max_total_time="$seconds" -max_len=4096 -timeout=5 -rss_limit_mb=1024 -print_final_stats=1 \
        -artifact_prefix="$work/$target-" "$work/$target.corpus" "$into" > "$work/$target.log" 2>&1; then
        tail -n 40 "$work/$target.log"
        mkdir -p "test/fuzz/regress/$target"
        for f in "$work/$target-crash-"* "$work/$target-timeout-"* "$work/$target-oom-"* "$work/$target-leak-"*; do
            [ -f "$f" ] && cp "$f" "test/fuzz/regress/$target/" && echo "$target: kept as test/fuzz/regress/$target/$(basename "$f")"
        done
        return 1
    fi
    awk -v t="$target" '/number_of_executed_units/{n=$2} / cov: /{for(i=1;i<=NF;i++) if($i=="cov:") c=$(i+1)} END{print t ": " n " inputs, " c " edges"}' "$work/$target.log"
}

for source in test/fuzz/*.c; do
    target=$(basename "$source" .c)
    [ -z "$only" ] || [ "$only" = "$target" ] || continue
    if fuzz "$target"; then passed=$((passed + 1)); else failed=$((failed + 1)); fi
done
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
