#!/bin/sh
# tools/demo.sh BUILD_DIR: a scoliotic phantom as DICOM files, the main job on them, a lesson recorded in
# the twin by the real client, and the twin in the browser.
set -eu
program=$1/fabrica
lesson=demo/twin/lessons/scoliotic-spine.mcap
[ ! -f demo/view.pid ] || kill "$(cat demo/view.pid)" 2>/dev/null || true
rm -rf demo/patient demo/twin
mkdir -p demo
echo "demo: making a synthetic patient (Cobb 35 degrees, seed 7)"
"$program" phantom --cobb 35 --seed 7 -o demo/patient
echo "demo: turning the DICOM series into a twin"
"$program" twin demo/patient/dicom -o demo/twin
echo "demo: recording a lesson in it with the real client and a spoken voice; takes as long as the lesson, a good minute"
mkdir -p demo/twin/lessons
node web/sample/lesson.mjs "$program" demo/twin "$lesson" || lesson=""
echo
echo "The twin is in      $PWD/demo/twin"
echo "Look first at       $PWD/demo/twin/report.html   (any browser)"
echo "                    $PWD/demo/twin/preview.png"
echo "3D model            $PWD/demo/twin/export/twin.glb"
[ -z "$lesson" ] || echo "The lesson          $PWD/$lesson   ($program lesson info FILE)"
echo "The patient's truth $PWD/demo/patient/truth"
echo
set -- "$program" view demo/twin
[ -z "$lesson" ] || set -- "$@" --lesson "$lesson"
if [ -n "${CI:-}" ]; then
    echo "In a browser        $*"
elif [ -t 1 ]; then
    echo "In a browser or headset, until Ctrl-C:"
    exec "$@"
else
    # no terminal: it stays for half an hour, and its address is the last that is printed
    "$@" --minutes 30 >demo/view.log 2>&1 &
    echo $! >demo/view.pid
    for _ in 1 2 3 4 5 6 7 8 9 10; do
        sleep 0.5
        grep -q '^code' demo/view.log && break
    done
    echo "In a browser or headset, for 30 minutes (end it: kill $(cat demo/view.pid); again: $*):"
    cat demo/view.log
fi
