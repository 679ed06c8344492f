# view_lib.sh - a real fabrica view on a small twin, for tests that ask it things. After lib.sh.
export XDG_DATA_HOME="$WORK/data"
PYTHONDONTWRITEBYTECODE=1
export PYTHONDONTWRITEBYTECODE

# start NAME OPTION...: a server on $CASE (case); URL, LINK, CODE and PID follow from what it prints
start() {
    out=$1.out
    shift
    "$FABRICA" view "${CASE:-case}" --port 0 --verbose "$@" >"$out" 2>"$out.log" </dev/null &
    PID=$!
    n=0
    until grep -q "Ctrl-C stops" "$out" 2>/dev/null || [ $n -ge 400 ]; do sleep 0.05; n=$((n + 1)); done
    URL=$(sed -n 's/^here *\(.*\)\/[?#].*/\1/p' "$out")
    LINK=$(sed -n 's/.*#link=//p' "$out")
    CODE=$(sed -n 's/^code *//p' "$out")
    NETWORK=$(sed -n 's/^network *\(https:..[^/]*\)\/.*/\1/p' "$out")
}
stop() { # NAME SIGNAL
    kill -s "$2" $PID
    wait $PID
    code=$?
    [ $code -eq 0 ] && ok "$1" || bad "$1" "exit $code: $(tail -3 "$out.log")"
}
# status NAME CODE CURL-OPTION...: the HTTP status; body and head are kept
status() {
    name=$1 want=$2
    shift 2
    got=$(curl -s -m 60 -o body -D head -w '%{http_code}' "$@")
    [ "$got" = "$want" ] && ok "$name" || bad "$name" "status $got, not $want: $(head -c 300 body)"
}
says() { grep -qiF -- "$2" head body && ok "$1" || bad "$1" "no \"$2\" in $(cat head) $(head -c 300 body)"; }
