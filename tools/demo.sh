#!/bin/sh
# tools/demo.sh BUILD_DIR: a scoliotic phantom as DICOM files, then the main job on them.
set -eu
program=$1/fabrica
rm -rf demo/patient demo/twin
mkdir -p demo
echo "demo: making a synthetic patient (Cobb 35 degrees, seed 7)"
"$program" phantom --cobb 35 --seed 7 -o demo/patient
echo "demo: turning the DICOM series into a twin"
"$program" twin demo/patient/dicom -o demo/twin
echo
echo "The twin is in      $PWD/demo/twin"
echo "Look first at       $PWD/demo/twin/report.html   (any browser)"
echo "                    $PWD/demo/twin/preview.png"
echo "3D model            $PWD/demo/twin/export/twin.glb"
echo "The patient's truth $PWD/demo/patient/truth"
if [ -t 1 ] && [ -z "${CI:-}" ]; then
    echo
    echo "In a browser or headset, until Ctrl-C:"
    exec "$program" view demo/twin
fi
echo "In a browser        $program view demo/twin   (prints the URL, a QR code and a pairing code)"
