#!/bin/sh
# tools/bench.sh BUILD_DIR: runs every benchmark of bench/, JSON into out/bench/.
set -eu
mkdir -p out/bench
for script in bench/*.sh bench/*_vs_*.py bench/accuracy.py bench/training.py; do
    [ -f "$script" ] || continue
    name=$(basename "$script")
    echo "bench: $name"
    case "$script" in
    *.py) FAB_BUILD_ROOT=$1 /usr/bin/python3 "$script" >"out/bench/${name%.*}.json" ;;
    *) FAB_BUILD_ROOT=$1 sh "$script" >"out/bench/${name%.*}.json" ;;
    esac
done
echo "bench: engine"
ninja -C "$1" bench/bench_patch >/dev/null
for set in 1.5mm 3mm; do
    /usr/bin/python3 bench/engine/engine.py "$1" --set $set --json "out/bench/engine_$set.json" --plot "out/bench/engine_$set.svg" ||
        [ $? = 77 ]
done
ls -l out/bench
