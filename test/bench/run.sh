#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# B1: unique durable uplinks a second and core, three copies each.   B2: first copy -> subscriber.   Memory a device.
# R16: from SIGKILL at the height of the load to the next PUSH_ACK (recovery.mjs).
# Ratios side by side in one run; one line is appended to test/bench/history.tsv. Nothing else may run meanwhile.
cd "$(dirname "$0")/../.." || exit 2
devices=${DEVICES:-1000000} runs=${RUNS:-5} seconds=${SECONDS_EACH:-10} rate=${RATE:-10000}
folder=$(mktemp -d "${BENCH_FOLDER:-$PWD/build}/bench-XXXXXX")
http=127.0.0.1:18991 udp=127.0.0.1:18992
daemon=
trap '[ -z "$daemon" ] || kill $daemon 2>/dev/null; wait 2>/dev/null; rm -rf "$folder"' EXIT

metric() { curl -s "http://$http/metrics" | awk -v name="$1" '$1 == name {print $2}'; }
start() {  # folder: serve it, on a core of its own where taskset is
    taskset -c 0 build/hotaru serve --data "$1" --http $http --udp $udp --dev --keys_cached 16384 > "$folder/log" 2>&1 &
    daemon=$!
    until grep -q ready "$folder/log"; do kill -0 $daemon || { cat "$folder/log"; exit 1; }; sleep 0.1; done
}
stop() { kill $daemon; wait $daemon; daemon=; }
median() { sort -n | awk '{v[NR]=$1} END{print v[int((NR+1)/2)]}'; }
spread() { sort -n | awk '{v[NR]=$1} END{print v[1] " to " v[NR]}'; }

echo "machine: $(nproc) cores, $(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1), Linux $(uname -r), $(df -T "$folder" | awk 'NR==2{print $2}')"
build/hotaru version
echo "store: SQLite, WAL, synchronous=FULL: every acknowledged uplink is durable"

load() {  # name profile devices: fills, runs, prints uplinks/core-second and latency
    name=$1 profile=$2 n=$3
    build/hotaru bench-fill --data "$folder/$name" "$n" 100 "$profile" 2>/dev/null || exit 1
    start "$folder/$name"
    rss=$(metric process_resident_memory_bytes)
    echo "$name: $n devices, $((rss / 1000000)) MB resident, $(metric hotaru_device_memory_bytes | awk -v n="$n" '{printf "%d", $1/n}') B a device in tables"
    fcnt=1
    for run in $(seq "$runs"); do
        c0=$(metric process_cpu_microseconds_total) u0=$(metric hotaru_uplinks_total)
        taskset -c 1 build/hotaru sim --load --devices "$n" --rate "$rate" --seconds "$seconds" --warm-up 1 --udp $udp --fcnt $fcnt > "$folder/out"
        c1=$(metric process_cpu_microseconds_total) u1=$(metric hotaru_uplinks_total)
        fcnt=$((fcnt + 1 + rate * (seconds + 2) / n))
        echo "$c0 $c1 $u0 $u1" | awk '{printf "%d\n", ($4-$3)/(($2-$1)/1e6)}' >> "$folder/$name.rates"
        echo "  run $run: $(tail -n 1 "$folder/$name.rates") unique/s/core at $rate/s offered; $(grep '^load' "$folder/out")"
    done
    echo "$name: median $(median < "$folder/$name.rates") unique uplinks/s/core, durable (runs: $(spread < "$folder/$name.rates"))"
    half=${HALF:-$((rate / 2))}
    for run in $(seq "$runs"); do
        taskset -c 1 build/hotaru sim --load --devices "$n" --rate "$half" --seconds "$seconds" --warm-up 1 --udp $udp --fcnt $fcnt --subscribe "http://$http/v1/stream?kind=uplink" > "$folder/out"
        fcnt=$((fcnt + 1 + half * (seconds + 2) / n))
        sed -n 's/^watch.*p50_us=\([0-9]*\) p99_us=\([0-9]*\) p999_us=\([0-9]*\).*/\1 \2 \3/p' "$folder/out" >> "$folder/$name.watch"
        echo "  run $run: first copy -> subscriber at $half/s: $(grep '^watch' "$folder/out")"
    done
    echo "$name: first copy -> subscriber at $half/s, durable: p50 $(awk '{print $1}' "$folder/$name.watch" | median) us, p99 $(awk '{print $2}' "$folder/$name.watch" | median) us, p99.9 $(awk '{print $3}' "$folder/$name.watch" | median) us (medians of $runs)"
    eval "${name}_rate=$(median < "$folder/$name.rates") ${name}_p99=$(awk '{print $2}' "$folder/$name.watch" | median)"
    stop
}

load B1 frames-only "$devices"
node test/bench/recovery.mjs "$folder/B1" "$devices" "$rate" "$runs" "$fcnt"
rate=${RATE_B1B:-5000}
load B1b hotaru-bench "$((devices / 10))"
printf '%s\t%s\t%s\t%s\t%s\t%s\n' "$(git rev-parse --short HEAD 2>/dev/null)" "$devices" "$B1_rate" "$B1_p99" "$B1b_rate" "$B1b_p99" >> test/bench/history.tsv
