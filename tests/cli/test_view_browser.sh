#!/bin/sh
# The real viewer (web/dist) in a real browser on the real server: link, code, TLS, content policy.
. "$(dirname "$0")/lib.sh"
CHROMIUM=${FAB_CHROMIUM:-/usr/bin/chromium}
[ -x "$CHROMIUM" ] || { echo "skipped: no Chromium at $CHROMIUM"; exit 77; }
[ -f "$SOURCE/web/dist/index.html" ] && [ -d "$SOURCE/web/node_modules/playwright-core" ] ||
    { echo "skipped: web/dist is not built"; exit 77; }
missing node && exit 77
export XDG_DATA_HOME="$WORK/data"
phantom patient 7
"$FABRICA" twin patient/dicom --labels patient/truth/labels.nii.gz -o case -q --format glb-headset || bad twin
"$FABRICA" view case --port 0 --web "$SOURCE/web/dist" >view.out 2>view.log </dev/null &
pid=$!
n=0
until grep -q "Ctrl-C stops" view.out 2>/dev/null || [ $n -ge 400 ]; do sleep 0.05; n=$((n + 1)); done
value() { sed -n "s/^$1 *//p" view.out; }
holds "by the link and by the code" timeout 240 node "$SOURCE/tests/cli/view_browser.mjs" "$SOURCE/web/package.json" \
    "$CHROMIUM" "$(value here)" "$(value network)" "$(value code)"
cat .out
kill -s INT $pid
wait $pid && ok "stopped" || bad "stopped" "$(cat view.log)"
finish
