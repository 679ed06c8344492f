#!/bin/sh
# The single steps: info, segment, mesh, export, evaluate, phantom, model.
. "$(dirname "$0")/lib.sh"
phantom patient 7

expect "info" 0 'Patient "PHANTOM-7"' "$FABRICA" info patient/dicom
expect "info says what twin takes" 0 'fabrica twin takes series 1' "$FABRICA" info patient/dicom
"$FABRICA" info patient/dicom --json >info.json
holds "info as JSON" /usr/bin/env python3 -c "
import json
o = json.load(open('info.json'))
s = o['patients'][0]['studies'][0]['series'][0]
assert o['picked'] == 1 and s['verdict'] == 'ok' and s['usable'] and s['modality'] == 'CT', o
assert s['spacing_mm'] == [8, 8, 6] and s['frames'] == s['files'], s"
expect "info of a NIfTI" 0 'Volume  ' "$FABRICA" info patient/truth/labels.nii.gz

cp -r patient first
phantom second 7
holds "same seed, same bytes" diff -r first second
phantom third 8
cmp -s first/dicom/IMG00005.dcm third/dicom/IMG00005.dcm && bad "other seed, other bytes" || ok "other seed, other bytes"
expect "phantom over a phantom" 2 "exists already" "$FABRICA" phantom --spacing 8 -o second

expect "segment" 0 "Structure" "$FABRICA" segment patient/dicom -o seg.nii.gz
[ -s seg.nii.gz ] && [ -s seg.json ] && ok "label map and table" || bad "label map and table"
expect "segment over it" 2 "exists already" "$FABRICA" segment patient/dicom -o seg.nii.gz
expect "segment to another ending" 2 "written as .nii.gz" "$FABRICA" segment patient/dicom -o seg.mha
expect "segment with an unknown model" 3 "no model called nosuch; known: unet-tiny" \
    "$FABRICA" segment patient/dicom -o s.nii.gz --model nosuch
[ ! -e s.nii.gz ] && ok "nothing half written" || bad "nothing half written"

expect "mesh" 0 "liver" "$FABRICA" mesh patient/truth/labels.nii.gz -o meshes
[ -s meshes/liver.ply ] && [ -s meshes/meshes.json ] && ok "meshes and their figures" || bad "meshes and their figures"

"$FABRICA" twin patient/dicom --labels patient/truth/labels.nii.gz -o case -q || bad twin
expect "export" 0 "3mf" "$FABRICA" export case --format 3mf,stl,glb,glb-headset,ply,obj,nifti -o out
rm out/export.json
holds "exports again are the same bytes" diff -r out case/export -x seg.dcm
expect "export seg without its series" 2 "give their DICOM series with --source" \
    "$FABRICA" export case --format seg -o out2
expect "export seg" 0 "seg" "$FABRICA" export case --format seg --source patient/dicom -o out2
cmp -s out2/seg.dcm case/export/seg.dcm && ok "seg again is the same bytes" || bad "seg again is the same bytes"
"$FABRICA" twin third/dicom --labels third/truth/labels.nii.gz -o other --format seg -q || bad "another twin"
cat >uids.py <<'PY'
import re
def uids(path):
    return set(re.findall(rb"2\.25\.[0-9]+", open(path, "rb").read()))
program = uids("patient/dicom/IMG00001.dcm") & uids("third/dicom/IMG00001.dcm")  # who wrote it
first, other = uids("case/export/seg.dcm"), uids("other/export/seg.dcm")
assert len(program) == 1 and len(first) > 20 and first & other == program, first & other
PY
holds "another patient, other UIDs" /usr/bin/env python3 uids.py
expect "export from labels" 0 "stl" "$FABRICA" export patient/truth/labels.nii.gz --format stl -o out3
expect "export from nowhere" 3 "does not exist" "$FABRICA" export nowhere --format stl -o out4
[ ! -e out4 ] && ok "no folder for nothing" || bad "no folder for nothing"

expect "measure a case" 0 "lordosis L1-S1" "$FABRICA" measure case
expect "measure a label map" 0 "Not for diagnosis" "$FABRICA" measure patient/truth/labels.nii.gz -o measures.json
"$FABRICA" phantom -q --cobb 40 --spacing 3 --fov 200,220 --range -60,480 --noise 0 -o bent || bad "bent phantom"
"$FABRICA" measure bent/truth/labels.nii.gz --json >bent.json
holds "the Cobb angle asked for" /usr/bin/env python3 -c "
import json
s = json.load(open('bent.json'))['spine']; t = json.load(open('bent/truth/truth.json'))
c = s['coronal_curves'][0]
assert c['kind'] == 'main' and abs(c['cobb_deg'] - 40) < 3, c
assert c['convex_side'] == t['convex_side'] and len(s['vertebrae']) > 15, c
assert s['vertebrae'][-1]['trabecular_hu'] is None  # no image was given
assert json.load(open('measures.json'))['spine']['vertebrae'][-1]['level'].startswith('L')"
printf '{"label_1": 1}' >plain.json
expect "measure without names" 2 "no label is a vertebra with a name" \
    "$FABRICA" measure patient/truth/labels.nii.gz --labels plain.json
expect "measure nothing" 3 "does not exist" "$FABRICA" measure nowhere

expect "evaluate against itself" 0 "mean of those in REF" \
    "$FABRICA" evaluate patient/truth/labels.nii.gz patient/truth/labels.nii.gz
"$FABRICA" evaluate patient/truth/labels.nii.gz case/labels.nii.gz --json >same.json
holds "itself has Dice 1" /usr/bin/env python3 -c "
import json
o = json.load(open('same.json'))
assert o['mean']['dice'] == 1 and o['mean']['nsd'] == 1 and len(o['structures']) > 10
assert all(s['hd95_mm'] == 0 for s in o['structures'] if s['reference_voxels'])"
cat >map.json <<'JSON'
{"structures": [{"name": "vertebrae", "reference": ["vertebrae_*"], "predicted": ["vertebrae_*"]},
                {"name": "liver against heart", "reference": ["liver"], "predicted": ["heart"]}]}
JSON
"$FABRICA" evaluate patient/truth/labels.nii.gz case/labels.nii.gz --map map.json --json >mapped.json
holds "a mapping groups" /usr/bin/env python3 -c "
import json
v, w = json.load(open('mapped.json'))['structures']
assert v['name'] == 'vertebrae' and v['dice'] == 1 and w['dice'] == 0, (v, w)"
"$FABRICA" phantom -q --spacing 8,8,6 --range 20,110 --seed 7 -o shorter || bad "shorter phantom"
expect "evaluate on another grid" 0 "is on another grid" "$FABRICA" evaluate patient/truth/labels.nii.gz \
    shorter/truth/labels.nii.gz --map map.json
"$FABRICA" evaluate patient/truth/labels.nii.gz third/truth/labels.nii.gz --map map.json >.out 2>&1
grep -q "another grid" .out && bad "no such note on the same grid" || ok "no such note on the same grid"
expect "evaluate an image" 3 "not a label map" "$FABRICA" evaluate case/volume.nii.gz case/labels.nii.gz

expect "model list" 0 "unet-tiny" "$FABRICA" model list
expect "model show" 0 "random weights: segments nothing" "$FABRICA" model show unet-tiny
expect "model verify" 0 "unet-tiny 1.0.0: ok" "$FABRICA" model verify unet-tiny
mkdir models && cp -r "$SOURCE/tests/golden/unet_tiny" models/broken
printf x >>models/broken/weights.safetensors
expect "model verify finds damage" 4 "weights.safetensors" "$FABRICA" model verify --models models
expect "no models at all" 0 "no models found" "$FABRICA" model list --models nowhere
finish
