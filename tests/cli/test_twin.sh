#!/bin/sh
# The main job on a phantom's DICOM: what is in a case, the same bytes twice, no names where they
# do not belong.
. "$(dirname "$0")/lib.sh"
phantom

expect "twin from given labels" 0 "report   case/report.html" \
    "$FABRICA" twin patient/dicom --labels patient/truth/labels.nii.gz -o case
for file in manifest.json volume.nii.gz labels.nii.gz labels.json preview.png report.html \
    export/twin.glb export/twin.headset.glb export/twin.obj export/twin.3mf export/seg.dcm \
    export/labels.nii.gz; do
    [ -s "case/$file" ] || bad "case holds $file"
done
for folder in meshes meshes/lod1 meshes/lod2 meshes/lod3 export/stl export/ply; do
    [ "$(find "case/$folder" -maxdepth 1 -type f | wc -l)" -ge 10 ] || bad "case holds files in $folder"
done
ok "case is complete"
nothing_left "nothing temporary" .
expect "verify" 0 "files unchanged" "$FABRICA" verify case
cp -r case touched && printf x >>touched/labels.nii.gz
expect "verify a changed case" 4 "labels.nii.gz was changed" "$FABRICA" verify touched
expect "twin again" 2 "exists already (--replace" "$FABRICA" twin patient/dicom -o case
expect "output is another folder" 2 "holds other files" "$FABRICA" twin patient/dicom -o patient --replace

# same command, other thread count, other folder: same bytes but for the run
"$FABRICA" twin patient/dicom --labels patient/truth/labels.nii.gz -o case2 -q -j 1 || bad "second twin"
/usr/bin/env python3 - case case2 <<'PY' && ok "two runs, the same bytes" || bad "two runs, the same bytes"
import json, pathlib, re, sys
a, b = (pathlib.Path(p) for p in sys.argv[1:])
names = sorted(p.relative_to(a) for p in a.rglob("*") if p.is_file())
assert names == sorted(p.relative_to(b) for p in b.rglob("*") if p.is_file())
for n in names:
    x, y = (a / n).read_bytes(), (b / n).read_bytes()
    if str(n) == "manifest.json":
        x, y = json.loads(x), json.loads(y)
        assert x.pop("run") and y.pop("run")
    if str(n) == "report.html":
        x, y = (re.sub(rb"<!-- run -->.*?<!-- /run -->", b"", t, flags=re.S) for t in (x, y))
    assert x == y, n
PY

# the patient's name: in the manifest's one object, the report and DICOM, nowhere else
leaks=$(grep -rlE 'PHANTOM-7|Phantom\^Seed' case | grep -vE 'manifest.json|report.html|seg.dcm')
[ -z "$leaks" ] && ok "no patient name in exports" || bad "no patient name in exports" "$leaks"
/usr/bin/env python3 - case/manifest.json <<'PY' && ok "identifiers in one object" || bad "identifiers in one object"
import json, sys
m = json.load(open(sys.argv[1]))
found = m.pop("patient_identifiers")
assert found["patient_id"] == "PHANTOM-7" and found["series_uid"].startswith("2.25.")
rest = json.dumps(m)
for value in found.values():
    assert not value or len(value) < 4 or value not in rest, value
PY
holds "manifest against its schema" /usr/bin/python3 "$SOURCE/tests/contract/validate.py" "$SOURCE/contract" \
    case/manifest.json

# with a network (random weights: the structures mean nothing), from a zip, to JSON
if missing zip; then :; else
    (cd patient/dicom && zip -q ../../study.zip ./*)
    expect "twin by a network from a zip" 0 '"source": "network"' \
        "$FABRICA" twin study.zip -o netcase --json --format glb,nifti --model unet-tiny
    holds "its manifest against the schema" /usr/bin/python3 "$SOURCE/tests/contract/validate.py" \
        "$SOURCE/contract" netcase/manifest.json
    [ -e netcase/export/twin.glb ] && [ ! -e netcase/export/stl ] && ok "only the formats asked for" ||
        bad "only the formats asked for"
fi
expect "replace" 0 "case2: " "$FABRICA" twin patient/dicom --labels patient/truth/labels.nii.gz \
    -o case2 --replace --format nifti
[ ! -e case2/export/stl ] && ok "replaced whole" || bad "replaced whole"

# progress as JSON lines
"$FABRICA" twin patient/dicom --labels patient/truth/labels.nii.gz -o case3 --format nifti \
    --progress json 2>progress.jsonl >/dev/null || bad "progress run"
/usr/bin/env python3 - progress.jsonl <<'PY' && ok "progress lines" || bad "progress lines"
import json, sys
rows = [json.loads(line) for line in open(sys.argv[1])]
steps = [r for r in rows if r["event"] == "progress"]
overall = [r["overall"] for r in steps]
assert overall == sorted(overall) and overall[-1] == 1.0, overall
assert [s for i, s in enumerate(r["step"] for r in steps) if i == 0 or s != steps[i - 1]["step"]] == [
    "read", "segment", "check", "mesh", "measure", "detail", "write", "export", "report"]
PY
expect "error as JSON" 3 '"status":"not-found"' "$FABRICA" twin nowhere -o x --progress json
[ -z "$("$FABRICA" twin patient/dicom --labels patient/truth/labels.nii.gz -o case4 -q --format nifti 2>&1)" ] &&
    ok "quiet is quiet" || bad "quiet is quiet"
finish
