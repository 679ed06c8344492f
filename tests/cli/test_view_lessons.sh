#!/bin/sh
# fabrica view: lessons listed, sent, removed; --lesson.
. "$(dirname "$0")/lib.sh"
missing curl && exit 77
. "$SOURCE/tests/cli/view_lib.sh"
phantom patient 7
"$FABRICA" twin patient/dicom --labels patient/truth/labels.nii.gz -o case -q --format glb-headset || bad twin
pair() {
    status "owner" 204 -c owner.jar -d "{\"link\":\"$LINK\"}" "$URL/api/v1/session"
    status "viewer" 204 -c view.jar -d "{\"code\":\"$CODE\"}" "$URL/api/v1/session"
}
record() { /usr/bin/env python3 "$SOURCE/tests/cli/view_record.py" "$URL" owner.jar view.jar case "$FABRICA" "$1"; }

start first --host 127.0.0.1
pair
status "no lesson yet" 200 -b view.jar "$URL/api/v1/lessons"
says "an empty list" '{"lessons":[]}'
holds "lessons are recorded" record whole
record left >left.out 2>&1 &
LEFT=$!
n=0
until [ -s left.out ] || [ $n -ge 400 ]; do sleep 0.05; n=$((n + 1)); done
kill -9 $PID
wait $PID $LEFT 2>/dev/null

cp "$SOURCE/tests/fuzz/corpus/fuzz_lesson/small.mcap" given.mcap
cp case/lessons/vertebrae-one-by-one.mcap "case/lessons/Dr. Étienne's copy.mcap"
head -c 700 given.mcap >case/lessons/broken.mcap
tail -c 700 given.mcap >>case/lessons/broken.mcap
cp given.mcap case/lessons/.hidden.mcap && echo notes >case/lessons/notes.txt && mkdir case/lessons/folder.mcap
ln -s "$WORK/given.mcap" case/lessons/link.mcap
start lessons --host 127.0.0.1 --lesson given.mcap
grep -q "here *$URL/?lesson=where-the-portal-vein-divides#link=" lessons.out && ok "the link opens it" || bad "the link opens it" "$(head -1 lessons.out)"
pair
status "the page with the lesson named" 200 "$URL/?lesson=where-the-portal-vein-divides"
holds "lessons" /usr/bin/env python3 "$SOURCE/tests/cli/view_lessons.py" "$URL" owner.jar view.jar case given.mcap "$SOURCE"
stop "stopped" TERM

start own --host 127.0.0.1 --lesson case/lessons/vertebrae-one-by-one.mcap
grep -q "/?lesson=vertebrae-one-by-one#link=" own.out && ok "one of the case's own" || bad "one of the case's own" "$(head -1 own.out)"
pair
status "the list" 200 -b view.jar "$URL/api/v1/lessons"
[ "$(grep -o '"vertebrae-one-by-one"' body | wc -l)" = 1 ] && ok "once, first" || bad "once, first" "$(cat body)"
case $(cat body) in '{"lessons":[{"name":"vertebrae-one-by-one"'*) ok "the first" ;; *) bad "the first" ;; esac
stop "stopped again" TERM

expect "a broken lesson" 3 "case/lessons/broken.mcap" "$FABRICA" view case --port 0 --lesson case/lessons/broken.mcap
expect "no lesson" 3 "case/manifest.json" "$FABRICA" view case --port 0 --lesson case/manifest.json
expect "no such lesson" 3 "nowhere.mcap" "$FABRICA" view case --port 0 --lesson nowhere.mcap
finish
