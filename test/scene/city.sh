#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# make city: all scenes, then a thousand city-hours from seeds. With a scene or a seed: exactly that city again, and its log.
cd "$(dirname "$0")/../.." || exit 2
scene=$1 seed=$2 hours=$3
if [ -n "$scene" ]; then
    [ -f "$scene" ] || scene=test/scene/${scene%.scene}.scene
    exec build/city -v ${seed:+--seed "$seed"} --scene "$scene"
fi
[ -z "$seed" ] || exec build/city -v --seed "$seed" --hours "${hours:-4}"
build/city --scene test/scene/*.scene && build/city --seeds 1-250 --hours "${hours:-4}"
