#!/bin/sh
# run.sh types|unit|e2e|lesson|xr|journey [FABRICA]: the viewer's checks (ADR 0110). `make web` installed what they need.
set -eu
what=$1
web="$FAB_SOURCE_ROOT/web"
[ -d "$web/node_modules" ] && [ -f "$web/dist/index.html" ] || { echo "web/ is not built: make web"; exit 1; }
cd "$web"
case "$what" in
types) exec node node_modules/typescript/bin/tsc --noEmit -p . ;;
unit) exec node test.mjs ;;
esac
chromium=${FAB_CHROMIUM:-/usr/bin/chromium}
[ -x "$chromium" ] || { echo "skipped: no Chromium at $chromium"; exit 77; }
fabrica=$2
work="$FAB_BUILD_ROOT/web-case"
case_dir="$work/twin"
# a scoliotic phantom and its true labels: made once for each program
if [ ! -f "$case_dir/manifest.json" ] || [ "$fabrica" -nt "$case_dir/manifest.json" ]; then
    mkdir -p "$work"
    "$fabrica" phantom --cobb 35 --seed 7 --spacing 3 -q --replace -o "$work/phantom"
    "$fabrica" twin "$work/phantom/dicom" --labels "$work/phantom/truth/labels.nii.gz" --format glb-headset -q --replace -o "$case_dir"
    touch "$case_dir/manifest.json"
fi
FAB_FABRICA="$fabrica"
export FAB_FABRICA
case "$what" in
lesson | journey) # their lessons go into copies of the case
    rm -rf "$work/$what-twin"
    cp -r "$case_dir" "$work/$what-twin"
    exec node "e2e/$what.mjs" "$work/$what-twin" "$work/phantom/truth/truth.json" ;;
xr) exec node e2e/xr.mjs "$case_dir" "$work/phantom/truth/truth.json" ;;
esac
exec node e2e/run.mjs "$case_dir"
