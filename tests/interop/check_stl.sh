#!/bin/sh
# check_stl.sh WRITE_TWIN: admesh's full check (its option -c would turn every check off) must find
# each STL closed, with nothing degenerate, fixed, removed, added or reversed.
command -v admesh >/dev/null || { echo "skipped: admesh is not installed"; exit 77; }
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
"$1" "$out" || exit 1
bad=0
for f in "$out"/stl/*.stl; do
    admesh "$f" | awk -F: -v f="$f" '
        /^(Degenerate facets|Edges fixed|Facets (removed|added|reversed)|Backwards edges|Normals fixed)/ {
            seen++; if ($2 + 0 != 0) why = why "; " $0 }
        /^Total disconnected facets/ { seen++; split($2, n, " "); if (n[1] != 0 || n[2] != 0) why = why "; " $0 }
        END { if (why != "" || seen != 8) { print f " (" seen " figures seen)" why; exit 1 } }' || bad=1
done
exit $bad
