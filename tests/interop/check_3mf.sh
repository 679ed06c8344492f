#!/bin/sh
# check_3mf.sh WRITE_TWIN READ_3MF: lib3mf reads the 3MF without a warning; unzip finds it sound;
# the same twin gives the same bytes.
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
"$1" "$out/a" && "$1" "$out/b" || exit 1
cmp "$out/a/twin.3mf" "$out/b/twin.3mf" || exit 1
if command -v unzip >/dev/null; then unzip -tqq "$out/a/twin.3mf" || exit 1; fi
[ -n "$2" ] || { echo "skipped: lib3mf-dev is not installed"; exit 77; }
"$2" "$out/a/twin.3mf" 8 && "$2" "$out/a/every/twin.3mf" "$(ls "$out/a/every/stl" | wc -l)"
