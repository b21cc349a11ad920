#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# test/cover/run.sh [PART …]: which lines and branches of src/ run in our tests, as a table; by name only those parts.
# Without a name everything runs, two parts at a time, and the two shares are facts. COVER=build-NAME is another
# folder to build in. A branch of an assert is not counted: its other side would be a mistake of ours.
cd "$(dirname "$0")/../.." || exit 2
V=${COVER:-build-cov}
LINES_PCT=90 BRANCHES_PCT=85
in=/tmp
[ -w /dev/shm ] && in=/dev/shm                       # what is counted here is no disk's truth: let it be quick
HOTARU_TMP=$(mktemp -d "$in/hotaru-cover.XXXXXX") || exit 1
export HOTARU="$PWD/$V/hotaru" HOTARU_TMP HOTARU_POSTGRES_FOLDER="$in/hotaru-cover-postgres.$$"
trap 'rm -rf "$HOTARU_TMP"' EXIT
trap 'exit 1' INT TERM

programs="hotaru unit boxtest city replay replay-scene shim/clock.so shim/fail.so"
one="unit replay box scenes city"
two="peer badinput crash restore rot full clock nth net memory"
for name in station mqtt; do [ -f "test/process/$name.mjs" ] && two="$two $name"; done      # with their doors

process() { [ -d test/process/node_modules ] || (cd test/process && npm ci --silent --no-audit --no-fund); node "test/process/$1.mjs" $2; }

part() {
    case $1 in
    unit)     HOTARU_POSTGRES=$(test/postgres.sh start) "$V/unit"; code=$?; test/postgres.sh stop; return $code ;;
    replay)   "$V/replay" && "$V/replay-scene" ;;
    box)      "$V/boxtest" ;;
    scenes)   "$V/city" --scene test/scene/*.scene ;;
    city)     "$V/city" --seeds 1-4 --hours 1 ;;
    crash)    process crash 6 ;;
    rot)      process rot 60 ;;
    nth)      process nth 3 ;;
    *)        process "$1" ;;
    esac
}

# What a part asserts is judged by its own suite; here it is told, because what did not run was not counted.
lane() {
    for name in "$@"; do
        start=$(date +%s)
        part "$name" > "$V/cover/$name.log" 2>&1
        awk -v n="$name" -v s=$(($(date +%s) - start)) '/^[0-9]+ passed, [0-9]+ failed/ { p += $1; f += $3 }
            END { printf "%s: %d right, %d wrong, %d s\n", n, p, f, s }' "$V/cover/$name.log"
    done
}

table() {
    gcovr -r . --object-directory "$V" -f src/ -e '.*_test\.c' -e src/base/test.c -e '.*/rig\.h' --exclude-branches-by-pattern '.*\bassert\(.*' \
        --csv "$V/cover/files.csv" --gcov-ignore-parse-errors "$V" 2> "$V/cover/gcovr.log" || { tail -n 20 "$V/cover/gcovr.log"; return 1; }
    awk -F, -v lines_pct="$LINES_PCT" -v branches_pct="$BRANCHES_PCT" -v all="$1" '
        function pct(part, of) { return of ? 100 * part / of : 100 }
        function row(name, l, lc, b, bc) { printf "%-28s %6d %6.1f %% %8d %6.1f %%\n", name, l, pct(lc, l), b, pct(bc, b) }
        NR == 1 { next }
        { split($1, at, "/"); f = at[2]; if (!(f in L)) order[++n] = f
          L[f] += $2; LC[f] += $3; B[f] += $5; BC[f] += $6; l += $2; lc += $3; b += $5; bc += $6
          name[NR] = $1; fl[NR] = $2; flc[NR] = $3; fb[NR] = $5; fbc[NR] = $6; miss[NR] = $2 - $3 + $5 - $6 }
        END { printf "%-28s %6s %8s %8s %8s\n", "folder", "lines", "run", "branches", "run"
              for (i = 1; i <= n; i++) row("src/" order[i], L[order[i]], LC[order[i]], B[order[i]], BC[order[i]])
              row("all of src/", l, lc, b, bc)
              print "where most is missing:"
              for (k = 0; k < 10; k++) { m = 0; for (i in miss) if (!m || miss[i] > miss[m]) m = i
                                         if (!m) break; row("  " name[m], fl[m], flc[m], fb[m], fbc[m]); delete miss[m] }
              if (!all) exit
              good = (pct(lc, l) >= lines_pct) + (pct(bc, b) >= branches_pct)
              if (pct(lc, l) < lines_pct) printf "FALSE at least %d %% of the lines of src/ run: %.2f %%\n", lines_pct, pct(lc, l)
              if (pct(bc, b) < branches_pct) printf "FALSE at least %d %% of the branches of src/ are taken: %.2f %%\n", branches_pct, pct(bc, b)
              printf "%d passed, %d failed\n", good, 2 - good }' "$V/cover/files.csv"
}

# shellcheck disable=SC2086
make -s -j2 V="$V" CFLAGS="-O0 -g --coverage" $(for p in $programs; do echo "$V/$p"; done) || exit 1
mkdir -p "$V/cover"
find "$V" -name '*.gcda' -delete
if [ $# -gt 0 ]; then
    lane "$@"
else
    # shellcheck disable=SC2086
    lane $one &
    # shellcheck disable=SC2086
    lane $two
    wait
fi
flock "$V/keepers" true                              # the last counters are written
table "$([ $# -gt 0 ] || echo all)"
