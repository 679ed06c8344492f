#!/bin/sh
# tools/sanitize.sh [asan|tsan [meson test options]]: every test under ASan + UBSan, then the
# threaded suites under TSan; or one of the two, with other options ("asan --suite dicom").
set -eu
run() { # name, sanitizers, meson test options
    name=$1 sanitizers=$2
    shift 2
    [ -f "build-$name/build.ninja" ] ||
        meson setup "build-$name" -Db_sanitize="$sanitizers" -Db_lundef=false --buildtype=debugoptimized
    ninja ${JOBS:+-j"$JOBS"} -C "build-$name"
    tools/check.sh "build-$name" --timeout-multiplier 10 "$@"
}
asan() {
    export ASAN_OPTIONS=detect_leaks=1:allocator_may_return_null=1:detect_stack_use_after_return=1
    export UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1
    export LSAN_OPTIONS=suppressions=$PWD/tools/lsan.supp:print_suppressions=0
    export FAB_TEST_SLOWDOWN=4
    run asan address,undefined "$@"
}
tsan() {
    export TSAN_OPTIONS=halt_on_error=1:suppressions=$PWD/tools/tsan.supp
    export FAB_TEST_SLOWDOWN=15
    run tsan thread "$@"
}
which=${1:-both}
[ $# -eq 0 ] || shift
case "$which" in
both)
    asan --no-suite tidy
    tsan --no-suite tidy --no-suite torture --no-suite interop
    ;;
asan | tsan) "$which" "$@" ;;
*) echo "usage: tools/sanitize.sh [asan|tsan [meson test options]]" >&2; exit 2 ;;
esac
