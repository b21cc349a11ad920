#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Runs suites by name and adds up their closing lines: `test/run.sh unit peer …`. Exit 1 when a fact failed.
cd "$(dirname "$0")/.." || exit 2
log=$(mktemp)
passed=0 failed=0 skipped=0

# What is there and older than the list of what is wanted is fetched anew.
need_modules() { [ "$1/node_modules/.package-lock.json" -nt "$1/package-lock.json" ] || (cd "$1" && npm ci --silent --no-audit --no-fund); }

# A step that has no closing line of its own is one fact.
step() {
    what=$1; shift
    if "$@" > "$log.step" 2>&1; then echo "1 passed, 0 failed"; else tail -n 40 "$log.step"; echo "$what: FAILED"; echo "0 passed, 1 failed"; fi
    rm -f "$log.step"
}

# The database tests also meet a PostgreSQL of their own.
with_postgres() {
    HOTARU_POSTGRES=$(test/postgres.sh start) "$@"
    code=$?
    test/postgres.sh stop
    return $code
}

suite() {
    case $1 in
        portal)    (cd portal && node --test 2>&1 | awk '/^not ok|^# fail|failing/{print} /^# pass/{p=$3} /^# fail/{f=$3} END{print p+0 " passed, " f+0 " failed"}') ;;
        unit)      with_postgres build/unit ;;
        box)       make -s -j2 build/boxtest && build/boxtest ;;
        replay)    build/replay && build/replay-scene ;;
        peer)      need_modules test/process && node test/process/peer.mjs ;;
        station)   need_modules test/process && node test/process/station.mjs ;;
        mqtt)      need_modules test/process && node test/process/mqtt.mjs ;;
        badinput)  need_modules test/process && node test/process/badinput.mjs ;;
        crash)     need_modules test/process && node test/process/crash.mjs 25 ;;
        browser)   need_modules test/browser && test/browser/run.sh ;;
        kills)     need_modules test/process && node test/process/crash.mjs "${KILLS:-250}" ;;
        power)     need_modules test/process && { node test/process/power.mjs --must-fail; node test/process/power.mjs "${CUTS:-250}"; } ;;
        nth)       need_modules test/process && node test/process/nth.mjs "${NTH:-60}" ;;
        full)      need_modules test/process && node test/process/full.mjs ;;
        rot)       need_modules test/process && make -s build/shim/clock.so && node test/process/rot.mjs "${ROTS:-500}" ;;
        restore)   need_modules test/process && node test/process/restore.mjs ;;
        clock)     need_modules test/process && node test/process/clock.mjs ;;
        net)       need_modules test/process && node test/process/net.mjs ;;
        memory)    need_modules test/process && node test/process/memory.mjs ;;
        soak)      need_modules test/process && node test/process/soak.mjs "${SOAK:-2}" ;;
        fuzz)      test/fuzz/run.sh "${FUZZ_SECONDS:-60}" ;;
        scenes)    build/city --scene test/scene/*.scene ;;
        city)      build/city --seeds "1-${CITIES:-250}" --hours 4 ;;
        same)      test/scene/same.sh ;;
        house)     step floors dist/floors.sh; step faces make -s faces; step "gcc -Werror" make -s -j2 build/hotaru build/unit ;;
        sanitized) step "clang -Werror, ASan, UBSan" make -s -j2 V=build-san CC=clang CFLAGS="-O1 -g" SAN="-fsanitize=address,undefined -fno-sanitize-recover=all" build-san/hotaru build-san/unit build-san/replay build-san/replay-scene
                   with_postgres build-san/unit && build-san/replay && build-san/replay-scene ;;
        cover)     test/cover/run.sh ;;
        *)         echo "test/run.sh: no suite $1" >&2; exit 2 ;;
    esac
}

for name in "$@"; do
    printf '== %s\n' "$name"
    start=$(date +%s)
    suite "$name" > "$log" 2>&1
    code=$?
    grep -v '^[0-9]* passed, [0-9]* failed' "$log"
    lines=$(grep -E '^[0-9]+ passed, [0-9]+ failed' "$log")
    if [ -z "$lines" ]; then
        echo "$name closed without its line (exit $code)"
        lines="0 passed, 1 failed"
    fi
    here=$(echo "$lines" | awk '{p+=$1; f+=$3; if ($6=="skipped") s+=$5; else if ($5~/^[0-9]+$/) s+=$5} END{print p+0, f+0, s+0}')
    p=${here%% *}; rest=${here#* }; f=${rest%% *}; s=${rest#* }
    [ "$code" -eq 0 ] || [ "$f" -gt 0 ] || f=1
    passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + s))
    printf -- '-- %s: %d passed, %d failed, %d skipped in %d s\n' "$name" "$p" "$f" "$s" $(($(date +%s) - start))
done
rm -f "$log"
if [ "$skipped" -gt 0 ]; then echo "$passed passed, $failed failed, $skipped skipped"; else echo "$passed passed, $failed failed"; fi
[ "$failed" -eq 0 ]
