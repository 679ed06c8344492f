#!/bin/sh
# Every source file is named in the meson.build of its folder (or of a folder above it).
cd "$1" || exit 1
bad=0
for f in $(find src server cli bench tests -name node_modules -prune -o \( -name '*.c' -o -name '*.cc' \) -print 2>/dev/null | sort); do
    d=$(dirname "$f") base=$(basename "$f")
    stem=${base%.*}
    found=0
    while :; do
        [ -f "$d/meson.build" ] && grep -qE "['/](${base}|${stem})'" "$d/meson.build" && { found=1; break; }
        [ "$d" = . ] && break
        d=$(dirname "$d")
    done
    [ $found = 1 ] || { echo "$f: in no meson.build"; bad=1; }
done
exit $bad
