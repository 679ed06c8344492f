#!/bin/sh
# The main job on a phantom's DICOM: what is in a case, the same bytes twice, no names where they
# do not belong.
. "$(dirname "$0")/lib.sh"
phantom patient 7
# names of folders and files may be a person's, a damaged file's too
mv patient/dicom Mustermann-Erika
head -c 600 Mustermann-Erika/IMG00001.dcm >Mustermann-Erika/Mustermann-damaged.dcm
uid=$("$FABRICA" info Mustermann-Erika --json | sed -n 's/.*"series_uid": "\([0-9.]*\)".*/\1/p' | head -1)
twin() { "$FABRICA" twin Mustermann-Erika --labels patient/truth/labels.nii.gz "$@"; }

expect "twin from given labels" 0 "report   case/report.html" twin -o case --series "$uid" -j 2
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
expect "twin again" 2 "exists already (--replace" twin -o case
expect "output is another folder" 2 "holds other files" twin -o patient --replace

# same command, other thread count, other folder: same bytes but for the run
said=$(twin -o case2 --series "$uid" -q -j 1 2>&1) || bad "second twin" "$said"
[ -z "$said" ] && ok "quiet is quiet" || bad "quiet is quiet" "$said"
holds "two runs, the same bytes" same_case case case2
if same_case case touched >.out 2>&1; then bad "a changed byte is seen"; else ok "a changed byte is seen"; fi

# the patient's name: in the manifest's one object, the report and DICOM, nowhere else
grep -q Mustermann case/manifest.json || bad "the input's name is recorded"
leaks=$(grep -rlE 'PHANTOM-7|Phantom\^Seed|Mustermann' case | grep -vE 'manifest.json|report.html|seg.dcm')
[ -z "$leaks" ] && ok "no patient name in exports" || bad "no patient name in exports" "$leaks"
cat >identifiers.py <<'PY'
import json, sys
m = json.load(open(sys.argv[1]))
found = m.pop("patient_identifiers")
assert found["patient_id"] == "PHANTOM-7" and found["series_uid"].startswith("2.25."), found
assert found["input_name"] == "Mustermann-Erika", found
assert "damaged file" in m["geometry"]["repairs"], m["geometry"]
rest = json.dumps(m)
for value in [*found.values(), "Mustermann"]:
    assert not value or len(value) < 4 or value not in rest, value
PY
holds "identifiers in one object" /usr/bin/env python3 identifiers.py case/manifest.json
holds "manifest against its schema" /usr/bin/python3 "$SOURCE/tests/contract/validate.py" "$SOURCE/contract" \
    case/manifest.json

# with a network, from a zip, to JSON, with progress; few slices, for random weights mean crumbs of
# structures with millions of triangles
if missing zip; then :; else
    "$FABRICA" phantom -q --spacing 12,12,4 --range 20,32 -o thin || bad "thin phantom"
    (cd thin/dicom && zip -q ../../study.zip ./*)
    "$FABRICA" twin study.zip -o netcase --json --format glb,nifti --model unet-tiny --progress json \
        >netcase.json 2>progress.jsonl || bad "twin by a network from a zip" "$(tail -1 progress.jsonl)"
    grep -q '"source": "network"' netcase.json && ok "twin by a network from a zip" || bad "prints the manifest"
    holds "its manifest against the schema" /usr/bin/python3 "$SOURCE/tests/contract/validate.py" \
        "$SOURCE/contract" netcase/manifest.json
    [ -e netcase/export/twin.glb ] && [ ! -e netcase/export/stl ] && ok "only the formats asked for" ||
        bad "only the formats asked for"
    cat >progress.py <<'PY'
import json
rows = [json.loads(line) for line in open("progress.jsonl")]
steps = [r for r in rows if r["event"] == "progress"]
overall = [r["overall"] for r in steps]
assert overall == sorted(overall) and overall[-1] == 1.0, overall
names = [s for i, s in enumerate(r["step"] for r in steps) if i == 0 or s != steps[i - 1]["step"]]
assert names == ["read", "segment", "check", "mesh", "detail", "measure", "write", "export", "report"], names
PY
    holds "progress lines" /usr/bin/env python3 progress.py
fi
mkdir case2/lessons && cp "$SOURCE/tests/fuzz/corpus/fuzz_lesson/plain.mcap" case2/lessons/
expect "replace" 0 "case2: " twin -o case2 --replace --format nifti
cmp -s "$SOURCE/tests/fuzz/corpus/fuzz_lesson/plain.mcap" case2/lessons/plain.mcap && ok "lessons stay" || bad "lessons stay"
expect "the case is whole beside them" 0 "files unchanged" "$FABRICA" verify case2
[ ! -e case2/export/stl ] && ok "replaced whole" || bad "replaced whole"
expect "error as JSON" 3 '"status":"not-found"' "$FABRICA" twin nowhere -o x --progress json
finish
