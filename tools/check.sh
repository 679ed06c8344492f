#!/bin/sh
# tools/check.sh BUILD_DIR [meson test options]: runs the tests, shows what was skipped and why,
# and ends with one line a CI can read: "N passed, N failed, N skipped".
set -u
build=$1
shift
meson test -C "$build" --print-errorlogs "$@"
status=$?
log="$build/meson-logs/testlog.json"
[ -f "$log" ] || { echo "0 passed, 1 failed"; exit 1; }
count() { grep -c "\"result\": \"$1\"" "$log" || true; }
passed=$(count OK)
skipped=$(count SKIP)
total=$(grep -c '"result": "' "$log")
if [ "$skipped" -gt 0 ]; then
    echo "Skipped:"
    grep '"result": "SKIP"' "$log" | sed 's/.*"name": "\([^"]*\)".*/  \1/'
fi
echo "$passed passed, $((total - passed - skipped)) failed, $skipped skipped"
exit $status
