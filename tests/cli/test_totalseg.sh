#!/bin/sh
# TotalSegmentator's single tasks: another installed model looks first, its box is what they see.
. "$(dirname "$0")/lib.sh"
golden="$SOURCE/tests/golden/nnunet_folder/Dataset900_Small"
rough="$SOURCE/tests/golden/nnunet_threshold/Dataset298_Threshold"
result=nnUNetTrainer__nnUNetPlans__3d_fullres
phantom patient 7
series=patient/dicom
segment() { "$FABRICA" segment $series --models own "$@"; }

# finder NAME DATASET WORD: what is bright (the threshold network's aorta) is called WORD
finder() {
    mkdir -p "sets/$2" && cp -r "$rough/$result" "sets/$2"
    sed "s/\"aorta\"/\"$3\"/" "$rough/$result/dataset.json" >"sets/$2/$result/dataset.json"
    expect "add $1" 0 "added $1" "$FABRICA" model add "sets/$2" --models own --name "$1"
    rm -r sets
}
mkdir -p set && cp -r "$golden" set/Dataset150_icb_v0
expect "add a single task" 0 "added bleed" "$FABRICA" model add set/Dataset150_icb_v0 --models own --name bleed

# nobody looks first: the whole image, and that is said
expect "without a finder" 0 "bleed sees the whole image: TotalSegmentator finds brain with the 6 mm network of its task total first, which is not installed" \
    segment -m bleed -o whole.nii.gz
finder other Dataset298_TotalSegmentator_total_6mm aorta
cp -r "$golden" Dataset297_TotalSegmentator_total_3mm
expect "add total at 3 mm" 0 "added three" "$FABRICA" model add Dataset297_TotalSegmentator_total_3mm --models own --name three
expect "finders of other names and spacing" 0 '"notes": "bleed sees the whole image: TotalSegmentator finds brain with the 6 mm network of its task total first, which is not installed; model other does not know brain; model three has no such network"' \
    segment -m bleed -o again.nii.gz --json
holds "the result is the whole image's" cmp whole.nii.gz again.nii.gz

# one does
finder total6 Dataset298_TotalSegmentator_total_6mm brain
expect "with a finder" 0 "note: The network saw" segment -m bleed -o boxed.nii.gz
cat >inside.py <<'END'
import gzip, json, re, struct, subprocess, sys
def labels(name):
    raw = gzip.open(name).read()
    size, at = struct.unpack_from("<3h", raw, 42), int(struct.unpack_from("<f", raw, 108)[0])
    assert struct.unpack_from("<h", raw, 70)[0] == 2 and len(raw) - at == size[0] * size[1] * size[2]
    places = [i for i, v in enumerate(raw[at:]) if v]
    axes = [[p % size[0] for p in places], [p // size[0] % size[1] for p in places],
            [p // size[0] // size[1] for p in places]]
    return size, [(min(a), max(a)) for a in axes]
summary = json.loads(subprocess.run(sys.argv[1:] + ["--json"], check=True, capture_output=True).stdout)
note = summary["notes"]
assert summary["finder"]["name"] == "total6", summary["finder"]
saw = [int(n) for n in re.findall(r"saw (\d+) x (\d+) x (\d+) of (\d+) x (\d+) x (\d+)", note)[0]]
size, box = labels("boxed.nii.gz")
_, all_of_it = labels("whole.nii.gz")
print(saw, size, box, all_of_it)
assert tuple(saw[3:]) == size and any(saw[a] < size[a] for a in range(3))
for a in range(3):
    assert box[a][1] - box[a][0] < saw[a]
assert any(all_of_it[a][1] - all_of_it[a][0] >= saw[a] for a in range(3))
assert "the box of brain, as total6 found it, and 20 mm around" in note
END
holds "labels lie in the box alone" python3 inside.py "$FABRICA" segment $series -m own/bleed/ -o path.nii.gz
holds "a model given by its folder has the finder beside it" cmp boxed.nii.gz path.nii.gz
expect "a whole twin of one structure" 0 "twin.glb" "$FABRICA" twin $series --models own -m bleed -o case --format glb --roi-subset aorta --mesh-error 5
holds "its manifest names the finder" python3 -c "
import json
m = json.load(open('case/manifest.json'))
f = m['segmentation']['finder']
assert f['name'] == 'total6' and f['structures'] == ['brain'] and f['addon_mm'] == 20 and len(f['weights_sha256']) == 64, f
assert 'The network saw' in m['segmentation']['notes'] and m['options']['crop'] is True
assert {'resample', 'load', 'network'} <= {p['name'] for s in m['run']['steps'] for p in s['parts']}"
/usr/bin/env python3 "$SOURCE/tests/contract/validate.py" "$SOURCE/contract" case/manifest.json >.valid 2>&1
case $? in
    0 | 77) ok "the manifest keeps the contract" ;;
    *) bad "the manifest keeps the contract" "$(tail -3 .valid)" ;;
esac
expect "too little memory" 3 "MB" segment -m bleed -o x.nii.gz --max-memory 100k
holds "nothing is left of it" sh -c '[ ! -e x.nii.gz ]'

# nothing found: no label, and that is said
rm -r own/total6
mkdir -p sets/Dataset298_TotalSegmentator_total_6mm && cp -r "$rough/$result" sets/Dataset298_TotalSegmentator_total_6mm
sed 's/"liver"/"brain"/' "$rough/$result/dataset.json" >sets/Dataset298_TotalSegmentator_total_6mm/$result/dataset.json
expect "add one that finds no brain" 0 "added blind" "$FABRICA" model add sets/Dataset298_TotalSegmentator_total_6mm --models own --name blind
expect "nothing is found" 0 "blind found nothing of brain: no label is given, as by TotalSegmentator; --no-crop looks everywhere" \
    segment -m bleed -o none.nii.gz
holds "no label" python3 -c "
import gzip
assert not any(gzip.open('none.nii.gz').read()[352:])"
expect "a twin of nothing" 0 "no structure was found" "$FABRICA" twin $series --models own -m bleed -o nothing --format glb
printf '{' >own/blind/Dataset298_TotalSegmentator_total_6mm/$result/plans.json
expect "a damaged finder" 3 "model blind, which is to look first" segment -m bleed -o x.nii.gz
expect "is not read where the whole image is asked for" 0 "liver" segment -m bleed -o again.nii.gz --replace --no-crop
holds "which is seen" cmp whole.nii.gz again.nii.gz

# labels that only helped to train are no structures
cp -r "$golden" Dataset856_TotalSegMRI_face_1088subj
expect "auxiliary labels" 0 "added face to own: 1 part, 1 structure" \
    "$FABRICA" model add Dataset856_TotalSegMRI_face_1088subj --models own --name face
expect "only the first is found" 0 "liver" segment -m face -o face.nii.gz --json
holds "and in the table" python3 -c "
import json
assert [row['name'] for row in json.load(open('face.json'))['labels']] == ['liver']"
finish
