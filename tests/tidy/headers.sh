#!/bin/sh
# Each public header stands alone as C99 and as C++11.
cd "$1" || exit 1
bad=0
for h in include/fabrica/*.h; do
    name=${h#include/}
    printf '#include "%s"\nint fab_header_alone;\n' "$name" | gcc -std=c99 -Wall -Wextra -Wpedantic -Werror -Iinclude -x c -fsyntax-only - || { echo "$h: not C99"; bad=1; }
    printf '#include "%s"\nint fab_header_alone;\n' "$name" | g++ -std=c++11 -Wall -Wextra -Wpedantic -Werror -Iinclude -x c++ -fsyntax-only - || { echo "$h: not C++11"; bad=1; }
done
exit $bad
