#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The include rule: a folder includes only what FLOORS allows it, other folders by their public headers only,
# OS headers only in base sys db edge main sim. Prints each breach; silent when the house stands.
cd "$(dirname "$0")/.." || exit 2
breaches=$(
    for file in src/*/*.c src/*/*.h sim/*.c sim/*.h box/*.c box/*.h; do
        [ -f "$file" ] || continue
        folder=$(basename "$(dirname "$file")")
        allowed=" $folder $(sed -n "s/^$folder: *//p" FLOORS) "
        case $file in *_test.c) allowed="$allowed base wire " ;; esac
        sed -n 's/^#include "\([a-z_]*\)\/\([^"]*\)".*/\1 \2/p' "$file" | while read -r to header; do
            case "$allowed" in *" $to "*) ;; *) echo "$file includes $to/$header: FLOORS does not allow it" ;; esac
            [ "$folder/$to" != box/sim ] || continue       # the box is the city's other body
            [ "$header" != inside.h ] || [ "$to" = "$folder" ] || echo "$file looks inside $to"
        done
        case $folder in base|sys|db|edge|main|sim|box) continue ;; esac
        case $file in *_test.c) continue ;; esac
        grep -nE '#include <(sys/|unistd|fcntl|netinet|arpa|pthread|signal|time\.h|poll|uv\.h|errno)' "$file" |
            sed "s|^|$file:|; s|\$|: an OS header above its floors|"
    done
    for folder in $(sed -n 's/^\([a-z]*\):.*/\1/p' FLOORS); do
        for lower in $(sed -n "s/^$folder: *//p" FLOORS); do
            sed -n "s/^$lower: *//p" FLOORS | grep -qw "$folder" && echo "circle: $folder and $lower"
        done
    done
    for dir in src/*/; do
        grep -q "^$(basename "$dir"):" FLOORS || echo "$dir stands on no floor"
    done
)
[ -z "$breaches" ] || { echo "$breaches"; exit 1; }
