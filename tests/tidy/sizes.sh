#!/bin/sh
# Files <= 800 lines, lines <= 100 columns, functions <= 70 lines, complexity <= 15. No exceptions.
cd "$1" || exit 1
all=$(find src server cli include tests bench -name node_modules -prune -o \( -name '*.[ch]' -o -name '*.cc' \) -print 2>/dev/null | sort)
code=$(find src server cli bench \( -name '*.c' -o -name '*.cc' \) 2>/dev/null | sort)
bad=0
awk 'FNR == 801 { print FILENAME ": more than 800 lines"; bad = 1 }
     { gsub(/\t/, "        ") } 
     length($0) > 100 { print FILENAME ":" FNR ": " length($0) " columns"; bad = 1 }
     /[ \t]+$/ { print FILENAME ":" FNR ": trailing blank"; bad = 1 }
     END { exit bad }' $all || bad=1
command -v pmccabe >/dev/null || { echo "pmccabe is not installed"; exit 1; }
pmccabe $code | awk '$1 > 15 { print $6 " " $7 ": complexity " $1 " > 15"; bad = 1 }
     $5 > 70 { print $6 " " $7 ": " $5 " lines > 70"; bad = 1 }
     END { exit bad }' || bad=1
exit $bad
