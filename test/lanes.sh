#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# `make loops` and `make long`: first the city, which takes both cores; then three lanes side by side: two mostly
# wait for disks and starts, the third computes. How often and how long is said by the environment (dist/verbs.mk). At
# its end a table for docs/testing.md and the line that adds everything up. The last words of a suite say what it did.
cd "$(dirname "$0")/.." || exit 2
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
start=$(date +%s)

# Each suite's end is told at once; what it said comes at the end, in order.
lane() { file=$1; shift; test/run.sh "$@" 2>&1 | tee "$folder/$file" | grep --line-buffered '^-- '; }
alone="city same" first="kills nth restore clock" second="power soak rot" third="fuzz full net memory"
lanes=
# shellcheck disable=SC2086
lane 0 $alone
# shellcheck disable=SC2086
for n in 1 2 3; do
    case $n in 1) suites=$first ;; 2) suites=$second ;; 3) suites=$third ;; esac
    lane $n $suites &
    lanes="$lanes $!"
done
# shellcheck disable=SC2064,SC2086
trap "kill $lanes 2> /dev/null; rm -rf '$folder'; exit 130" INT TERM
# shellcheck disable=SC2086
wait $lanes
cat "$folder"/[0-3] | grep -vE '^([0-9]+ passed, [0-9]+ failed|-- )'

echo "$(date +%F), $(git rev-parse --short HEAD 2> /dev/null), $(nproc) cores, Linux $(uname -r), $(df -T . | awk 'NR==2{print $2}')"
echo "| suite | what it did | passed | failed | skipped | s |"
echo "|---|---|---|---|---|---|"
cat "$folder"/[0-3] | awk -v wanted="$(echo "$alone $first $second $third" | wc -w)" '
    /^== /            { last = ""; next }
    /^-- [a-z]+: [0-9]+ passed/ { sub(":", "", $2); gsub(/\|/, "/", last); print "| " $2 " | " last " | " $3 " | " $5 " | " $7 " | " $10 " |"; p += $3; f += $5; s += $7; n++; next }
    /^[0-9.]+ s$/     { next }
    NF                { last = $0 }
    END               { if (n < wanted) { print wanted - n " suites did not end"; f++ }
                        printf "%d passed, %d failed%s\n", p, f, s ? ", " s " skipped" : ""; exit f > 0 }'
code=$?
echo "$((($(date +%s) - start) / 60)) min" >&2
exit $code
