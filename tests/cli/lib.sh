# lib.sh - what the command line tests share. Each test is: sh test_x.sh FABRICA SOURCE_ROOT
# shellcheck shell=sh
set -u
FABRICA=$1
SOURCE=$2
export FABRICA_MODELS="$SOURCE/tests/golden" # small random networks: for the way, not the result
unset LANG LC_ALL 2>/dev/null
WORK=$(mktemp -d "${TMPDIR:-/tmp}/fabcli-XXXXXX") || exit 1
trap 'chmod -R u+w "$WORK" 2>/dev/null; rm -rf "$WORK"' EXIT
cd "$WORK" || exit 1
failed=0

ok() { echo "ok       $1"; }
bad() { echo "FAILED   $1${2:+: $2}"; failed=1; }
finish() { exit $failed; }

# expect NAME CODE TEXT COMMAND...: exit code and a text in what it prints (both streams)
expect() {
    name=$1 code=$2 text=$3
    shift 3
    "$@" >"$WORK/.out" 2>&1 </dev/null
    got=$?
    if [ $got -ne "$code" ]; then bad "$name" "exit $got, not $code: $(head -c 300 "$WORK/.out")"
    elif ! grep -qF -- "$text" "$WORK/.out"; then bad "$name" "no \"$text\" in: $(head -c 400 "$WORK/.out")"
    else ok "$name"; fi
}

# holds NAME COMMAND...: exit code 0
holds() {
    name=$1
    shift
    if "$@" >"$WORK/.out" 2>&1; then ok "$name"; else bad "$name" "$(head -c 300 "$WORK/.out")"; fi
}

# a small patient in ./patient, made once a script
phantom() { "$FABRICA" phantom --quiet --spacing 8,8,6 --seed 7 -o patient "$@" || bad phantom; }

# nothing temporary is left in the folder
nothing_left() {
    left=$(find "$2" -name '*.tmp-*' | head -3)
    if [ -z "$left" ]; then ok "$1"; else bad "$1" "left: $left"; fi
}

missing() { command -v "$1" >/dev/null 2>&1 || { echo "skipped: $1 is not installed"; return 0; }; return 1; }
