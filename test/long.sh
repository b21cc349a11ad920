#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# `make long`: ten times the kills and cuts, five times the fuzzers, and an hour of soak, in two lanes side by side
# for two cores. At its end a table for docs/testing.md and the line that adds everything up. The last words of a
# suite say what it did.
cd "$(dirname "$0")/.." || exit 2
export KILLS="${KILLS:-10000}" CUTS="${CUTS:-10000}" NTH="${NTH:-600}" ROTS="${ROTS:-5000}" FUZZ_SECONDS="${FUZZ_SECONDS:-300}" SOAK="${SOAK:-60}" CITIES="${CITIES:-500}"
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
start=$(date +%s)

test/run.sh kills power > "$folder/1" 2>&1 &
one=$!
test/run.sh soak clock net memory same city nth full rot restore fuzz > "$folder/2" 2>&1 &
two=$!
trap 'kill $one $two 2> /dev/null; rm -rf "$folder"; exit 130' INT TERM
wait $one; wait $two
cat "$folder/1" "$folder/2"

echo "$(date +%F), $(git rev-parse --short HEAD 2> /dev/null), $(nproc) cores, Linux $(uname -r), $(df -T . | awk 'NR==2{print $2}')"
echo "| suite | what it did | passed | failed | skipped | s |"
echo "|---|---|---|---|---|---|"
cat "$folder/1" "$folder/2" | awk '
    /^== /            { last = ""; next }
    /^-- [a-z]+: [0-9]+ passed/ { sub(":", "", $2); gsub(/\|/, "/", last); print "| " $2 " | " last " | " $3 " | " $5 " | " $7 " | " $10 " |"; p += $3; f += $5; s += $7; next }
    /^[0-9.]+ s$/     { next }
    NF                { last = $0 }
    END               { printf "%d passed, %d failed%s\n", p, f, s ? ", " s " skipped" : ""; exit f > 0 }'
code=$?
echo "$((($(date +%s) - start) / 60)) min" >&2
exit $code
