#!/bin/sh
# The command line itself: help, mistakes, exit codes, and what is printed from the tables.
. "$(dirname "$0")/lib.sh"

expect "no command" 2 "Usage: fabrica COMMAND" "$FABRICA"
expect "help" 0 "Commands:" "$FABRICA" help
expect "version" 0 "fabrica " "$FABRICA" --version
expect "unknown command" 2 'did you mean "twin"' "$FABRICA" twni x
expect "unknown option" 2 'did you mean --output' "$FABRICA" twin x --outptu y
expect "prefix of an option" 2 'did you mean --max-memory' "$FABRICA" twin x -o y --max 1G
expect "no argument" 2 'needs SERIES' "$FABRICA" twin
expect "too many arguments" 2 'one argument too many' "$FABRICA" twin a b -o c
expect "no output" 2 'needs -o CASE' "$FABRICA" twin a
expect "value missing" 2 '--output needs a value' "$FABRICA" twin a -o
expect "value twice" 2 '--output is given twice' "$FABRICA" twin a -o b -o c
expect "flag with a value" 2 '--replace takes no value' "$FABRICA" twin a -o b --replace=yes
expect "not a number" 2 'takes a whole number' "$FABRICA" phantom -o b --seed 1.5
expect "number out of range" 2 'from 0 to 90, not 91' "$FABRICA" phantom -o b --cobb 91
expect "not a choice" 2 'is one of ct|mr-t1|mr-t2' "$FABRICA" phantom -o b --modality pet
expect "not a size" 2 'takes a size such as' "$FABRICA" twin a -o b --max-memory lots
expect "not a spacing" 2 'one number or three' "$FABRICA" phantom -o b --spacing 1,2
expect "not a field of view" 2 'two numbers, WIDTH,DEPTH' "$FABRICA" phantom -o b --fov 300
expect "not a range" 2 'the second larger' "$FABRICA" phantom -o b --range 50,20
expect "not a side" 2 'is one of usual|left|right' "$FABRICA" phantom -o b --convex up
expect "not a kernel" 2 'is one of soft|bone' "$FABRICA" phantom -o b --kernel sharp
expect "apex out of range" 2 'from -3 to 8, not 9' "$FABRICA" phantom -o b --apex 9
expect "fat out of range" 2 'from 0.3 to 4, not 5' "$FABRICA" phantom -o b --fat 5
expect "not a format" 2 'no export format is called "glbb"' "$FABRICA" twin a -o b --format stl,glbb
expect "not an action" 2 'did you mean verify' "$FABRICA" model verfy
expect "empty output" 2 '--output is empty' "$FABRICA" twin a -o ''
expect "arguments after --" 3 '-x does not exist' "$FABRICA" info -- -x
expect "exit codes" 0 '130  stopped by Ctrl-C' "$FABRICA" help exit-codes

# help, man page and completion name every command and every option
"$FABRICA" help --man >man.1
"$FABRICA" completion bash >completion.bash
holds "completion is bash" bash -n completion.bash
tr -d '\\' <man.1 >man.txt
for command in $("$FABRICA" help | sed -n 's/^  \([a-z]*\) .*/\1/p'); do
    grep -q "fabrica $command" man.txt || bad "man page names $command"
    grep -q "    $command) options=" completion.bash || bad "completion names $command"
    "$FABRICA" "$command" --help >help.txt || bad "$command --help"
    for option in $(sed -n 's/^ *\(-., \)\{0,1\}--\([a-z-]*\).*/\2/p' help.txt); do
        grep -q -- "--$option" man.txt || bad "man page names $command --$option"
        grep "    $command) options=" completion.bash | grep -q -- "--$option " ||
            grep "    $command) options=" completion.bash | grep -q -- "--$option'" ||
            bad "completion names $command --$option"
    done
done
ok "man page and completion name everything"
words=$(bash -c '. ./completion.bash; COMP_WORDS=(fabrica phantom --modality ""); COMP_CWORD=3; _fabrica; echo "${COMPREPLY[*]}"')
[ "$words" = "ct mr-t1 mr-t2" ] && ok "completion completes a choice" || bad "completion completes a choice" "$words"
for option in apex convex fat kernel fov; do
    grep -q -- "--$option" man.txt || bad "man page names phantom --$option"
done
phantom() { "$FABRICA" phantom --quiet --spacing 12 --range 0,60 --cobb 30 -o "$@" || bad "phantom $*"; }
phantom plain
for change in "--kernel bone" "--apex 2" "--convex right" "--fat 2" "--fov 300,240"; do
    phantom other --replace $change
    cmp -s plain/dicom/IMG00002.dcm other/dicom/IMG00002.dcm && bad "$change changes the image" || ok "$change changes the image"
done
if command -v man >/dev/null && command -v groff >/dev/null; then
    problems=$(groff -man -Tutf8 -ww man.1 2>&1 >/dev/null | head -3)
    [ -z "$problems" ] && ok "man page is clean" || bad "man page is clean" "$problems"
fi
finish
