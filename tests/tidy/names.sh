#!/bin/sh
# Public names: functions fab_*, types without _t; nothing of a developer's machine in the tree.
cd "$1" || exit 1
bad=0
grep -nE '^[a-z].*\b[a-z_0-9]+\(' include/fabrica/*.h | grep -vE 'fab_|typedef|static inline|#|extern' && bad=1
grep -nE '\}? *fab_[a-z_0-9]+_t;' include/fabrica/*.h && bad=1
git ls-files -z 2>/dev/null | grep -zvE 'tests/tidy/names.sh|package-lock.json' |
    xargs -0 grep -nIE '/work/(main|shared|wt-)|farm-bench|farm-studio|/root/' 2>/dev/null && { echo "  ^ a developer's machine is named"; bad=1; }
exit $bad
