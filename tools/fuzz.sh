#!/bin/sh
# tools/fuzz.sh [target ...]: runs each fuzz target for FUZZ_SECONDS (default 1800) from its corpus.
# Findings go to out/fuzz/<target>/ and end the run with a failure.
set -eu
seconds=${FUZZ_SECONDS:-1800}
[ -f build-fuzz/build.ninja ] || CC=clang CXX=clang++ meson setup build-fuzz -Dfuzz=true --buildtype=debugoptimized
ninja -C build-fuzz
targets=${*:-$(cd build-fuzz/tests/fuzz && ls | grep '^fuzz_[a-z0-9_]*$')}
failed=0
for t in $targets; do
    mkdir -p "out/fuzz/$t/corpus"
    seeds="tests/fuzz/corpus/$t"
    [ -d "$seeds" ] || seeds=""
    # shellcheck disable=SC2086
    if build-fuzz/tests/fuzz/"$t" -max_total_time="$seconds" -rss_limit_mb=4096 -timeout=25 -print_final_stats=1 \
        -artifact_prefix="out/fuzz/$t/" "out/fuzz/$t/corpus" $seeds >"out/fuzz/$t/log" 2>&1; then
        echo "$t: $seconds s, $(grep -o 'stat::number_of_executed_units: *[0-9]*' "out/fuzz/$t/log" | grep -o '[0-9]*$') runs, no finding"
    else
        echo "$t: FINDING, see out/fuzz/$t/"
        failed=1
    fi
done
exit $failed
