#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The screens against the real daemon and the simulated city, in ports and a folder of their own.
cd "$(dirname "$0")/../.." || exit 2
folder=$(mktemp -d)
port=$((20000 + $$ % 20000))
build/hotaru demo --data "$folder/city" --http "127.0.0.1:$port" --udp "127.0.0.1:$((port + 1))" > "$folder/log" 2>&1 &
demo=$!
trap 'kill $demo 2>/dev/null; wait $demo 2>/dev/null; rm -rf "$folder"' EXIT

# The city is alive when half of its devices have been heard.
heard() { node -e "fetch('http://127.0.0.1:$port/v1/city').then(r=>r.json()).then(c=>process.exit(c.counts.devices_heard>c.counts.devices/2&&c.counts.devices>0?0:1)).catch(()=>process.exit(1))"; }
tries=0
until heard; do
    tries=$((tries + 1))
    if [ $tries -gt 180 ] || ! kill -0 $demo 2>/dev/null; then
        tail -n 20 "$folder/log"
        echo "the demo city did not come alive"
        echo "0 passed, 1 failed"
        exit 1
    fi
    sleep 1
done
node test/browser/run.mjs "http://127.0.0.1:$port"
