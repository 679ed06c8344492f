# lib.sh - what the command line tests share. Each test is: sh test_x.sh FABRICA SOURCE_ROOT
# shellcheck shell=sh
set -u
FABRICA=$1
SOURCE=$2
export FABRICA_MODELS="$SOURCE/tests/golden/unet_tiny" # small random networks: for the way, not the result
export XDG_DATA_HOME="$SOURCE/nowhere"                  # no models of the person who runs this
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

# phantom FOLDER SEED [OPTION...]: a small patient, the lumbar spine and what is around it; it takes a
# quarter of a second, so that every script makes its own
phantom() {
    made=$1 seed=$2
    shift 2
    "$FABRICA" phantom -q --spacing 8,8,6 --range 20,140 --seed "$seed" -o "$made" "$@" || bad "phantom $made"
}

# same_case CASE CASE: byte for byte, but for what docs/formats/case.md says differs
same_case() {
    /usr/bin/env python3 - "$1" "$2" <<'PY'
import json, pathlib, re, sys
a, b = (pathlib.Path(p) for p in sys.argv[1:])
names = sorted(p.relative_to(a) for p in a.rglob("*") if p.is_file())
others = sorted(p.relative_to(b) for p in b.rglob("*") if p.is_file())
assert names == others, set(names) ^ set(others)
for name in names:
    x, y = (a / name).read_bytes(), (b / name).read_bytes()
    if str(name) == "manifest.json":
        cut = b'\n  "run": {'
        assert x.count(cut) == y.count(cut) == 1 and json.loads(x)["run"]["finished"], name
        x, y = x.split(cut)[0], y.split(cut)[0]
    if str(name) == "report.html":
        assert x.count(b"<!-- run -->") == y.count(b"<!-- run -->") == 1, name
        x, y = (re.sub(rb"<!-- run -->.*?<!-- /run -->", b"", t, flags=re.S) for t in (x, y))
    assert x == y, f"{name} differs"
print(len(names), "files")
PY
}

# nothing temporary is left in the folder
nothing_left() {
    left=$(find "$2" -name '*.tmp-*' | head -3)
    if [ -z "$left" ]; then ok "$1"; else bad "$1" "left: $left"; fi
}

missing() { command -v "$1" >/dev/null 2>&1 || { echo "skipped: $1 is not installed"; return 0; }; return 1; }
