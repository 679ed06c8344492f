#!/bin/sh
# Every symbol a module's library defines starts with fab_; C++ shims add only mangled names.
cd "$2" || exit 1
bad=0
for lib in src/*/libfab_*.a server/libfab_*.a; do
    module=$(basename "$(dirname "$lib")")
    nm -g --defined-only "$lib" 2>/dev/null | awk -v lib="$lib" -v module="$module" '
        NF == 3 && $3 !~ /^fab_/ && $3 !~ /^_Z/ && $3 !~ /^(__|asan|DW\.ref)/ { print lib ": " $3; bad = 1 } END { exit bad }' || bad=1
done
exit $bad
