#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# test/fuzz/run.sh SECONDS [TARGET]: builds the targets with clang's fuzzer and sanitizers, replays what once
# broke each (test/fuzz/regress/TARGET) and its seeds, then fuzzes it for so long, two targets at a time. A new
# crash is kept under regress/, to be committed with its cure. KEEP=1 keeps what the fuzzer found interesting.
cd "$(dirname "$0")/../.." || exit 2
seconds=${1:-60}
only=${2:-}
clang=${CLANG:-clang}
work=build-fuzz
export ASAN_OPTIONS=detect_leaks=0:quarantine_size_mb=16     # a target gives back what it took, or its arena does

# Inputs of other suites are seeds too: wrapped as whole datagrams where the target wants those.
seeds() {
    into=$work/$1.seeds
    rm -rf "$into" && mkdir -p "$into"
    for d in "test/fuzz/corpus/$1" "test/fuzz/regress/$1"; do
        [ -d "$d" ] && find "$d" -type f -exec cp {} "$into" \;
    done
    case $1 in
    udp)
        cp test/corpus/udp/*.bin "$into"
        for f in test/corpus/rxpk/*.json; do
            { printf '\002\001\002\000\300\000\000\000\000\000\000\301{"rxpk":['
              sed -e 's/@DATA@/QAECAwQAAAABAgME/; s/@SIZE@/12/; s/@[A-Z]*@/{}/g' "$f"
              printf ']}'; } > "$into/rxpk-$(basename "$f" .json)"
        done ;;
    json) cp test/corpus/rxpk/*.json "$into" ;;
    frame) cp test/corpus/phy/*.bin "$into" 2> /dev/null ;;
    profile) cp data/profiles/*.json "$into" ;;
    esac
    echo "$into"
}

# Prints one block: what it did, or how it failed and how to see that again.
fuzz() {
    target=$1
    log=$work/$target.log
    into=$(seeds "$target")
    mkdir -p "$work/$target.corpus"
    rm -f "$work/$target-"*
    FUZZ_FOLDER=$(mktemp -d "$folder/$target.XXXXXX") && export FUZZ_FOLDER
    if ! "$work/fuzz-$target" -runs=0 -artifact_prefix="$work/$target-" "$into" > "$log" 2>&1; then
        tail -n 30 "$log"
        echo "$target: a seed or an old crash fails"
        return 1
    fi
    case $target in base | command | csv | radio | token) seconds=$((seconds / 2 + 1)) ;; esac    # they are small
    if ! "$work/fuzz-$target" -max_total_time="$seconds" -max_len=4096 -detect_leaks=0 -timeout=10 -rss_limit_mb=1500 \
        -print_final_stats=1 -artifact_prefix="$work/$target-" "$work/$target.corpus" "$into" > "$log" 2>&1; then
        tail -n 40 "$log"
        mkdir -p "test/fuzz/regress/$target"
        for f in "$work/$target-crash-"* "$work/$target-timeout-"* "$work/$target-oom-"*; do
            [ -f "$f" ] || continue
            kept=test/fuzz/regress/$target/$(basename "$f" | sed "s/^$target-//")
            cp "$f" "$kept"
            echo "$target: broken; again: $work/fuzz-$target $kept"
        done
        return 1
    fi
    awk -v t="$target" '/number_of_executed_units/{n=$2} /average_exec_per_sec/{s=$2} / cov: /{for(i=1;i<=NF;i++) if($i=="cov:") c=$(i+1)}
        END{print t ": " n " inputs, " s " a second, " c " edges"}' "$log"
}

if [ "$only" = --one ]; then                           # called by ourselves, below
    out=$(fuzz "$3")
    code=$?
    echo "$out"
    [ "$code" -eq 0 ] && : > "$work/$3.good"
    exit 0
fi

targets=${only:-$(cd test/fuzz && ls ./*.c | sed 's,^\./,,; s,\.c$,,' | grep -v '^replay$')}
programs=$(for t in $targets; do echo "$work/fuzz-$t"; done)
mkdir -p "$work"
# shellcheck disable=SC2086
if ! make -s -k -j2 V="$work" CC="$clang" CFLAGS="-O1 -g" \
    SAN="-fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all" $programs > "$work/build.log" 2>&1; then
    grep -a -A4 error: "$work/build.log" | head -n 30
fi
rm -f "$work/"*.good
folder=$(mktemp -d /dev/shm/hotaru-fuzz.XXXXXX 2> /dev/null || mktemp -d) && export folder
trap 'rm -rf "$folder"' EXIT
trap 'exit 1' INT TERM
echo "$targets" | tr ' ' '\n' | xargs -n 1 -P 2 test/fuzz/run.sh "$seconds" --one
passed=0 failed=0
for t in $targets; do
    if [ -f "$work/$t.good" ]; then passed=$((passed + 1)); else failed=$((failed + 1)); fi
done
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
