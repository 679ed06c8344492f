#!/bin/sh
# fabrica view --bundle: one HTML file, opened from the disk by a real browser without a network.
. "$(dirname "$0")/lib.sh"
[ -f "$SOURCE/web/dist/bundle/bundle.html" ] || { echo "skipped: web/dist is not built"; exit 77; }
phantom patient 7
"$FABRICA" twin patient/dicom --labels patient/truth/labels.nii.gz -o Doe_Jane -q --format glb-headset || bad twin
cp "$SOURCE/tests/fuzz/corpus/fuzz_lesson/plain.mcap" lesson.mcap
bundle() { "$FABRICA" view Doe_Jane --web "$SOURCE/web/dist" --bundle "$@"; }

expect "a page" 0 "structures" bundle page.html --lesson lesson.mcap
cat .out
holds "what it holds" /usr/bin/env python3 - Doe_Jane page.html lesson.mcap <<'PY'
import base64, gzip, hashlib, json, pathlib, re, sys
case, page, lesson = (pathlib.Path(p) for p in sys.argv[1:])
text = page.read_text()
blocks = {}
for path, kind, packed, body in re.findall(r'<script type="text/plain" data-path="([^"]+)" data-type="([^"]+)"( data-packed)?>([A-Za-z0-9+/=]*)</script>', text):
    data = base64.b64decode(body, validate=True)
    blocks[path] = gzip.decompress(data) if packed else data
assert text.count("data-path=") >= len(blocks) == 8, list(blocks)
manifest = json.loads((case / "manifest.json").read_text())
for needle in [v for v in manifest["patient_identifiers"].values() if v and len(v) > 6] + ["Doe_Jane", "seg.dcm"]:
    assert needle.lower() not in text.lower(), needle
    assert not any(needle.lower().encode() in data.lower() for data in blocks.values()), needle
o = json.loads(blocks["/api/v1/case"])
level, = o["volume"]["levels"]
assert level["level"] == 1 and len(blocks["/api/v1/case/volume/1"]) == level["bytes"] and len(blocks["/api/v1/case/labels/1"]) == o["labels"]["levels"][0]["bytes"]
assert blocks["/api/v1/case/files/export/twin.headset.glb"] == (case / "export/twin.headset.glb").read_bytes()
rows = {row["path"]: row for row in o["files"]}
assert rows["manifest.json"]["sha256"] == hashlib.sha256(blocks["/api/v1/case/files/manifest.json"]).hexdigest()
listed, = json.loads(blocks["/api/v1/lessons"])["lessons"]
assert blocks["/api/v1/lessons/" + listed["name"]] == lesson.read_bytes() and listed["model"] == "other"
policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]+)"', text).group(1)
script = re.search(r"<script>(.*)</script>", text, re.S).group(1)
assert "default-src 'none'" in policy and "'sha256-" + base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() + "'" in policy, policy
assert "http:" not in policy and "https:" not in policy and " src=" not in re.sub(r"<script>.*</script>", "", text, flags=re.S)
PY
expect "a coarser one" 0 "CT" bundle small.html --bundle-ct 2
[ "$(wc -c <small.html)" -lt "$(wc -c <page.html)" ] && ok "is smaller" || bad "is smaller"
expect "without a CT" 0 "structures" bundle none.html --bundle-ct none
grep -q 'data-path="/api/v1/case/volume' none.html && bad "no CT in it" || ok "no CT in it"
expect "no lesson" 3 "Doe_Jane/manifest.json" bundle bad.html --lesson Doe_Jane/manifest.json
expect "no such folder" 1 "nowhere" bundle nowhere/page.html
expect "no client" 3 "bundle.html" "$FABRICA" view Doe_Jane --web . --bundle bad.html
mkdir other && cp -r Doe_Jane other/ && rm other/Doe_Jane/export/twin.headset.glb && ln -s "$WORK/lesson.mcap" other/Doe_Jane/export/twin.headset.glb
expect "a link out of the case" 1 "twin.headset.glb" "$FABRICA" view other/Doe_Jane --web "$SOURCE/web/dist" --bundle bad.html
"$FABRICA" twin patient/dicom --labels patient/truth/labels.nii.gz -o plain -q --format glb || bad twin
expect "no headset model" 3 "glb-headset" "$FABRICA" view plain --web "$SOURCE/web/dist" --bundle bad.html
[ -e bad.html ] && bad "nothing is left of a failure" || ok "nothing is left of a failure"
nothing_left "no temporary file" .

CHROMIUM=${FAB_CHROMIUM:-/usr/bin/chromium}
if [ -x "$CHROMIUM" ] && [ -d "$SOURCE/web/node_modules/playwright-core" ] && ! missing node; then
    # all that a phantom has: more than the 117 structures of TotalSegmentator
    "$FABRICA" phantom -q --spacing 6 --seed 3 -o whole && "$FABRICA" twin whole/dicom --labels whole/truth/labels.nii.gz -o all -q --format glb-headset || bad "a whole twin"
    expect "a page of all structures" 0 "structures" "$FABRICA" view all --web "$SOURCE/web/dist" --bundle all.html
    cat .out
    holds "in a browser, from the disk" timeout 300 node "$SOURCE/tests/cli/view_bundle.mjs" "$SOURCE/web/package.json" "$CHROMIUM" "$WORK/page.html" "$WORK/all.html" "$WORK/none.html"
    cat .out
fi
finish
