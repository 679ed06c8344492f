#!/bin/sh
# fabrica view records (ADR 0113): whole lessons, closed and killed ones.
. "$(dirname "$0")/lib.sh"
missing curl && exit 77
. "$SOURCE/tests/cli/view_lib.sh"
phantom patient 7
"$FABRICA" twin patient/dicom --labels patient/truth/labels.nii.gz -o case -q --format glb-headset || bad twin

record() { # NAME STEP
    holds "$1" /usr/bin/env python3 "$SOURCE/tests/cli/view_record.py" "$URL" owner.jar view.jar case "$FABRICA" "$2"
}
# leave NAME: a recording that is open while the server ends
leave() {
    /usr/bin/env python3 "$SOURCE/tests/cli/view_record.py" "$URL" owner.jar view.jar case "$FABRICA" left >"$1.out" 2>&1 &
    LEFT=$!
    n=0
    until [ -s "$1.out" ] || [ $n -ge 400 ]; do sleep 0.05; n=$((n + 1)); done
}
pair() {
    status "owner" 204 -c owner.jar -d "{\"link\":\"$LINK\"}" "$URL/api/v1/session"
    status "viewer" 204 -c view.jar -d "{\"code\":\"$CODE\"}" "$URL/api/v1/session"
}

start recorder --host 127.0.0.1
pair
record "recordings" whole
leave logout
status "the owner logs out" 204 -b owner.jar -X DELETE "$URL/api/v1/session"
wait $LEFT
holds "the lesson is whole" "$FABRICA" lesson verify "case/lessons/$(cat logout.out).mcap"
"$FABRICA" lesson info "case/lessons/$(cat logout.out).mcap" | grep -q cut && bad "it is not cut" || ok "it is not cut"
stop "stopped" TERM

start ended --host 127.0.0.1
pair
leave term
stop "stopped while it records" TERM
wait $LEFT
"$FABRICA" lesson info "case/lessons/$(cat term.out).mcap" >info.out 2>&1 && ! grep -q cut info.out && ok "a whole lesson" || bad "a whole lesson" "$(cat info.out)"

start killed --host 127.0.0.1
pair
leave kill
kill -9 $PID
wait $PID 2>/dev/null
wait $LEFT
"$FABRICA" lesson info "case/lessons/$(cat kill.out).mcap" >info.out 2>&1 && grep -q "cut: its recording did not end well" info.out && ok "killed: a cut lesson" ||
    bad "killed: a cut lesson" "$(cat info.out)"
grep -qE "^(2\.9|3\.[0-9]|4\.0) s" info.out && ok "all but the last second" || bad "all but the last second" "$(cat info.out)"
holds "what is there is as written" "$FABRICA" lesson verify "case/lessons/$(cat kill.out).mcap"

chmod 555 case/lessons 2>/dev/null
mv case/lessons lessons.away && ln -s "$WORK" case/lessons
start linked --host 127.0.0.1
pair
leave nowhere
wait $LEFT
ls ./*.mcap >/dev/null 2>&1 && bad "no link is followed" || ok "no link is followed"
stop "stopped again" TERM
finish
