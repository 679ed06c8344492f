#!/bin/sh
# fabrica validate: every layout, errors whose measure is known, cases that fail, the cache.
. "$(dirname "$0")/lib.sh"
holds "boxes" /usr/bin/env python3 "$SOURCE/tests/cli/boxes.py" .

# check NAME DOSSIER PYTHON: d is dossier.json, s its structures by name, c its cases, r rows by case and name
check() {
    cat >check.py <<PY
import json
d = json.load(open("$2/dossier.json"))
s = {row["name"]: row for row in d["structures"]}
c = {row["name"]: row for row in d["cases"]}
r = {(case["name"], row["name"]): row for case in d["cases"] for row in case.get("structures", [])}
$3
PY
    holds "$1" /usr/bin/env python3 check.py
}

expect "nnU-Net's layout" 0 "1 of 2 cases evaluated, 0 failed, 1 without a truth" \
    "$FABRICA" validate nnunet --predictions shifted -o d1
check "two voxels of 2 mm: Dice 0.8, HD95 4 mm" d1 "
l = r['one', 'liver']
assert l['dice'] == 0.8 and l['hd95_mm'] == 4 and l['volume_difference_ml'] == 0, l
assert l['nsd'] < 1 and l['nsd_voxel'] <= l['nsd'] and 0 < l['assd_mm'] < 4, l
assert l['reference_voxels'] == 1000 and l['overlap_voxels'] == 800 and not l['cut_by_edge'], l"
check "missed is 0, absent and unknown are not" d1 "
m = r['one', 'spleen']
assert m['dice'] == 0 and m['predicted_voxels'] == 0 and m['hd95_mm'] is None, m
assert s['spleen']['missed'] == 1 and s['spleen']['dice']['worst_case'] == 'one', s['spleen']
assert r['one', 'aorta']['state'] == 'absent', r['one', 'aorta']
assert r['one', 'heart']['state'] == 'not-evaluated', r['one', 'heart']
assert s['heart']['evaluated'] == 0 and s['heart']['dice']['median'] is None, s['heart']
assert [x['name'] for x in d['not_tested']['structures']] == ['aorta', 'heart'], d['not_tested']
assert [x['name'] for x in d['not_tested']['cases']] == ['two'], d['not_tested']"
check "data card and software" d1 "
import hashlib
data, sw = c['one']['data'], d['software']
def sha(p): return hashlib.sha256(open(p, 'rb').read()).hexdigest()
assert d['dataset'] == {'name': 'Boxes', 'layout': 'nnU-Net', 'license': 'CC0', 'notes': None}, d['dataset']
assert data['image_sha256'] == sha('nnunet/imagesTs/one_0000.nii.gz'), data
assert data['truth'] == [{'path': 'labelsTs/one.nii.gz', 'sha256': sha('nnunet/labelsTs/one.nii.gz')}], data
assert data['grid']['size'] == [40, 36, 44] and data['grid']['spacing_mm'] == [2, 2, 2], data
assert sw['binary_sha256'] == sha('$FABRICA') and sw['version'], sw
assert 'not for diagnosis' in d['notice'] and len(d['worst']) == 2, d['worst']"
holds "the page" sh -c 'grep -q "not for diagnosis" d1/dossier.html && grep -q "data:image/png" d1/dossier.html &&
    ! grep -qE "nan|<script" d1/dossier.html && [ -e d1/confidence.jsonl ]'
expect "a dossier over it" 2 "exists already" "$FABRICA" validate nnunet --predictions shifted -o d1
expect "in its place" 0 "liver" "$FABRICA" validate nnunet --predictions shifted -o d1 --replace --tolerance 4
check "another tolerance" d1 "assert r['one', 'liver']['nsd'] == 1 and d['settings']['nsd_tolerance_mm'] == 4"

expect "TotalSegmentator's layout, one case on another grid" 3 "case s0002 failed" \
    "$FABRICA" validate total --predictions totalpred -o d2
check "the other case counts" d2 "
assert c['s0002']['status'] == 'failed' and 'another grid' in c['s0002']['error'], c['s0002']
assert '40 x 36 x 43' in c['s0002']['error'] and 'liver.nii.gz' in c['s0002']['error'], c['s0002']
assert r['s0001', 'liver']['dice'] == 1 and r['s0001', 'liver']['hd95_mm'] == 0
a = r['s0001', 'aorta']
assert a['state'] == 'false-positive' and abs(a['volume_predicted_ml'] - 0.216) < 1e-9 and 'dice' not in a, a
assert s['aorta']['false_positives'] == 1 and s['aorta']['evaluated'] == 0, s['aorta']
assert r['s0001', 'heart']['state'] == 'not-evaluated' and d['totals']['failed'] == 1"

expect "VerSe's layout" 0 "vertebrae: 0 of 5 have their name, 5 but for a shift" \
    "$FABRICA" validate verse --predictions versepred -o d3
check "names one level too high" d3 "
l = c['sub-1']['levels']
assert (l['vertebrae'], l['right'], l['shift'], l['missed']) == (5, 0, -1, 0), l
assert (l['right_with_shift'], l['identified']) == (5, 0), l
assert l['localisation_mm'] == 14 and d['levels']['shifts'] == [{'shift': -1, 'cases': 1}], l
assert r['sub-1', 'vertebrae_L3']['dice'] == 0, r['sub-1', 'vertebrae_L3']"

expect "our own list of cases" 3 "case b failed" "$FABRICA" validate own --predictions ownpred -o d4
check "each with its own error" d4 "
assert 'elsewhere in the patient' in c['b']['error'] and 'missing.nii.gz' in c['c']['error'], c
assert d['totals'] == {'cases': 4, 'evaluated': 2, 'failed': 2, 'without_truth': 0, 'measurements': 3,
                       'false_positives': 0, 'not_evaluated': 1}, d['totals']
assert r['a', 'liver']['dice'] == 0.9 and r['a', 'spleen']['dice'] == 0.875
assert r['d', 'spleen']['remark'] == 'not drawn in full in this case: spleen', r['d', 'spleen']
assert s['liver']['dice']['cases'] == 2 and s['spleen']['dice']['cases'] == 1"
expect "a mapping" 0 "both" "$FABRICA" validate mapped --predictions ownpred -o d5
check "merges" d5 "
b = r['a', 'both']
assert b['reference_voxels'] == 1512 and b['overlap_voxels'] == 900 + 448, b"
expect "a mapping to what there is not" 2 'structure "both": the model has no nose' \
    "$FABRICA" validate wrongmap --predictions ownpred -o d6

mkdir empty && echo '{"labels": {}}' >empty/dataset.json
expect "neither kind of dataset.json" 3 "imagesTs" "$FABRICA" validate empty --predictions ownpred -o d6
rm empty/dataset.json
expect "an empty folder" 3 "empty holds no case in a known layout" "$FABRICA" validate empty -o d6
expect "no folder" 3 "nowhere does not exist" "$FABRICA" validate nowhere -o d6
expect "no such model" 3 "no model called nosuch" "$FABRICA" validate nnunet -m nosuch -o d6
expect "no output" 2 "needs -o" "$FABRICA" validate nnunet
cp -r own broken && printf junk >broken/a/ct.nii.gz
expect "no case left" 3 "no case could be evaluated" "$FABRICA" validate broken --predictions ownpred -o d6
[ ! -e d6 ] && ok "nothing half written" || bad "nothing half written"

# by a network: random weights, the same every time
expect "by a model" 0 "1 of 2 cases evaluated" "$FABRICA" validate nnunet -m unet-tiny -o m1
check "its card" m1 "
m = d['model']
assert m['name'] == 'unet-tiny' and len(m['weights_sha256']) == 64 and m['card']['labels'], m
assert d['software']['kernels'] and d['run']['cases'][0]['cpu_s'] > 0 and not d['run']['cases'][0]['from_cache']
assert d['run']['cases'][0]['peak_rss_bytes'] > 1e6, d['run']"
expect "from the cache" 0 "1 of 2" "$FABRICA" validate nnunet -m unet-tiny -o m2 --cache m1.cache -j 1
check "it was" m2 "assert d['run']['cases'][0]['from_cache'] and d['run']['cases'][0]['cpu_s'] > 0, d['run']"
cat >same.py <<'PY'
import json, re
a, b = (json.load(open(f"{n}/dossier.json")) for n in ("m1", "m2"))
a.pop("run"), b.pop("run")
assert a == b and list(a)
x, y = (re.sub(r"<!-- run -->.*?<!-- /run -->", "", open(f"{n}/dossier.html").read(), flags=re.S) for n in ("m1", "m2"))
assert x == y
assert open("m1/confidence.jsonl").read() == open("m2/confidence.jsonl").read()
PY
holds "and the same dossier" /usr/bin/env python3 same.py
for f in m1.cache/*/labels.nii.gz; do printf x >"$f"; done
expect "a damaged entry is made again" 0 "1 of 2" "$FABRICA" validate nnunet -m unet-tiny -o m3 --cache m1.cache
check "not from the cache" m3 "assert not d['run']['cases'][0]['from_cache'], d['run']"
expect "other options, another entry" 0 "1 of 2" "$FABRICA" validate nnunet -m unet-tiny -o m4 --cache m1.cache --step 1
holds "two entries" sh -c '[ "$(ls m1.cache | wc -l)" = 2 ]'

# goes on where it was: a second case beside the first one
cp -r nnunet longer && cp longer/labelsTs/one.nii.gz longer/labelsTs/two.nii.gz
/usr/bin/env python3 - <<'PY'
import gzip
p = "longer/imagesTs/two_0000.nii.gz"
raw = bytearray(gzip.open(p).read())
raw[352:354] = (500).to_bytes(2, "little")
open(p, "wb").write(gzip.compress(bytes(raw)))
PY
expect "one case more" 0 "2 of 2 cases evaluated" "$FABRICA" validate longer -m unet-tiny -o m5 --cache m1.cache
check "only that one is segmented" m5 "
assert [(x['name'], x['from_cache']) for x in d['run']['cases']] == [('one', True), ('two', False)], d['run']"

# DICOM: what made it, not who
phantom p 7
mkdir dicom && mv p dicom/p && cat >dicom/cases.json <<'JSON'
{"format": "fabrica-dataset", "format_version": 1, "name": "phantom", "cases": [
  {"name": "x", "image": "p/dicom", "labels": "p/truth/labels.nii.gz"}]}
JSON
mkdir dpred && cp dicom/p/truth/labels.nii.gz dpred/x.nii.gz && cp dicom/p/truth/labels.json dpred
expect "a DICOM series" 0 "1 of 1 cases" "$FABRICA" validate dicom --predictions dpred -o d7
check "itself, and its scanner" d7 "
assert c['x']['data']['scanner']['manufacturer'] and c['x']['data']['scanner']['geometry'] == 'ok', c['x']['data']
done = [row for row in c['x']['structures'] if row['state'] == 'evaluated']
assert len(done) > 10 and all(row['dice'] == 1 and row['nsd'] == 1 for row in done)
l = c['x']['levels']
assert l['vertebrae'] == l['right'] == l['identified'] > 3 and l['shift'] == 0, l"
holds "nobody's name" sh -c '! grep -q PHANTOM-7 d7/dossier.json d7/dossier.html'

# lists of cases that are wrong
refused() { # NAME TEXT JSON
    rm -rf wrong && cp -r own wrong && printf '%s' "$3" >wrong/dataset.json
    expect "$1" 3 "$2" "$FABRICA" validate wrong --predictions ownpred -o d8
}
head='"format": "fabrica-dataset", "format_version": 1'
refused "not JSON" "dataset.json" '{"format"'
refused "a later version" "format_version" '{"format": "fabrica-dataset", "format_version": 2, "cases": []}'
refused "no list" "cases" "{$head}"
refused "no case" "holds no case" "{$head, \"cases\": []}"
refused "a case without an image" "image" "{$head, \"cases\": [{\"name\": \"a\"}]}"
refused "two of a name" 'two cases are called "a"' \
    "{$head, \"cases\": [{\"name\": \"a\", \"image\": \"x\"}, {\"name\": \"a\", \"image\": \"y\"}]}"
refused "a label that is none" '"5.5" is neither' "{$head, \"labels\": {\"5.5\": \"liver\"}, \"cases\": []}"
refused "a region" "is a region" "{$head, \"labels\": {\"whole\": [1, 2]}, \"cases\": []}"
refused "a mapping of something else" "is a list of rows" "{$head, \"structures\": 1, \"cases\": []}"
refused "values without names" "no table says what its values are called" \
    "{$head, \"cases\": [{\"name\": \"a\", \"image\": \"a/ct.nii.gz\", \"labels\": \"a/truth.nii.gz\"}]}"
[ ! -e d8 ] && ok "nothing of these" || bad "nothing of these"
nothing_left "no temporary folders" .
finish
