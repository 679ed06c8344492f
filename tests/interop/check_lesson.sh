#!/bin/sh
# check_lesson.sh LESSON_INTEROP: lessons and @mcap/core, both ways.
here=$(dirname "$0")
command -v node >/dev/null || { echo "skipped: node is not installed"; exit 77; }
[ -d "$here/node_modules/@mcap/core" ] || {
    echo "skipped: run npm ci --prefix tests/interop"
    exit 77
}
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
node "$here/lesson.mjs" "$1" "$out"
