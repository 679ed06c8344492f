#!/bin/sh
# Every include follows tools/layers.txt; *_internal.h stays in its folder.
cd "$1" || exit 1
awk '
FILENAME == "tools/layers.txt" {
    if ($0 ~ /^#/ || NF == 0) next
    module = $1; sub(":", "", module); known[module] = 1
    may[module, module] = 1; may[module, "base"] = 1
    for (i = 2; i <= NF; i++) may[module, $i] = 1
    next
}
FNR == 1 {
    module = ""
    n = split(FILENAME, part, "/")
    if (part[1] == "src") module = part[2]
    else if (part[1] == "cli" || part[1] == "server") module = part[1]
    else if (part[1] == "include") { module = part[3]; sub(/\.h$/, "", module) }
    if (module == "json") module = "base"
    if (module == "limits") module = "base"
    if (module != "" && !known[module]) { print FILENAME ": module " module " is not in tools/layers.txt"; bad = 1 }
}
module != "" && /^[ \t]*#[ \t]*include[ \t]*"/ {
    match($0, /"[^"]+"/); header = substr($0, RSTART + 1, RLENGTH - 2)
    if (header ~ /^fabrica\//) {
        other = header; sub(/^fabrica\//, "", other); sub(/\.h$/, "", other)
        if (other == "json" || other == "limits") other = "base"
        if (!((module, other) in may)) { print FILENAME ":" FNR ": " module " may not use " other; bad = 1 }
    } else if (header ~ /\//) { print FILENAME ":" FNR ": " header " is outside its folder"; bad = 1 }
}
END { exit bad }
' tools/layers.txt $(find src server cli include -name '*.[ch]' -o -name '*.cc' | sort)
