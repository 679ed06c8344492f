#!/bin/sh
# Calls the library never makes: unsafe string functions anywhere, printing and exiting outside cli/.
cd "$1" || exit 1
bad=0
look() { # pattern, why, folders
    pattern=$1 why=$2
    shift 2
    grep -nE "(^|[^A-Za-z0-9_\"])($pattern)[ ]*\(" -r "$@" --include='*.c' --include='*.cc' --include='*.h' |
        grep -vE '^[^:]*:[0-9]*:[ ]*(\*|//|/\*)' && { echo "  ^ $why"; bad=1; }
}
folders="src include"
[ -d server ] && folders="$folders server"
[ -d cli ] && folders="$folders cli"
# shellcheck disable=SC2086
look 'strcpy|strcat|sprintf|vsprintf|gets|strtok|alloca|tmpnam|mktemp|atoi|atof|rand|srand' 'unsafe or unchecked call' $folders
look 'printf|puts|putchar|perror|exit|abort|getenv|system|popen' 'the library never prints, exits or reads the environment' src server
look 'malloc|calloc|realloc|free|strdup' 'use fab_malloc and friends' src/volume src/mesh src/nn src/segment src/export src/anatomy src/evaluate src/render src/phantom src/pipeline src/twin server 2>/dev/null
# shellcheck disable=SC2086
grep -nE '"[^",;]*[a-z]\(e?s\)[^",;]*"' -r $folders --include='*.c' --include='*.h' &&
    { echo "  ^ one or many: fab_plural"; bad=1; }
exit $bad
