#!/bin/sh
# Networks of several images, cascades, postprocessing, and files that are not what a network is for.
. "$(dirname "$0")/lib.sh"
golden="$SOURCE/tests/golden/nnunet_cascade"
result=Dataset901_Cascade/nnUNetTrainer__nnUNetPlans__3d
cp "$golden"/input/case_000[01].nii.gz .

# same NAME FILE FILE: the same voxels (what follows a NIfTI-1 header of 352 bytes)
same() {
    gzip -dc "$2" | tail -c +353 >.a && gzip -dc "$3" | tail -c +353 >.b
    if [ -s .a ] && cmp -s .a .b; then ok "$1"; else bad "$1" "$2 and $3 differ"; fi
}
segment() { "$FABRICA" segment "$@" --models own --replace; }
asked() { # asked NAME CODE TEXT ARGUMENTS...: of segment with the cascade
    what=$1 code=$2 text=$3
    shift 3
    expect "$what" "$code" "$text" "$FABRICA" segment "$@" -m cascade --models own -o got.nii.gz --replace
}

# a cascade with both stages and what it asks to be cleaned away
expect "add the data set: the cascade" 0 "added cascade to own: 1 part, 3 structures" \
    "$FABRICA" model add "$golden" --models own --name cascade
expect "show says what it is" 0 "3d_cascade_fullres" "$FABRICA" model show cascade --models own
holds "both stages are there" ls own/cascade/${result}_lowres/fold_1 own/cascade/${result}_cascade_fullres/fold_1
expect "verify reads both" 0 "cascade 1: ok" "$FABRICA" model verify cascade --models own
asked "two images, the second beside the first" 0 "a " case_0000.nii.gz
same "the cascade's labels, cleaned" got.nii.gz "$golden/expected_postprocessed.nii.gz"
asked "not cleaned" 0 "b " case_0000.nii.gz --no-postprocessing
same "the cascade's labels" got.nii.gz "$golden/expected_3d_cascade_fullres.nii.gz"
asked "what was cleaned is said" 0 "kept the largest component of a + b + c, then of b, then of c" case_0000.nii.gz --json
for stage in 3d_lowres 2d; do
    expect "add $stage" 0 "added $stage" "$FABRICA" model add "$golden/Dataset901_Cascade" --models own --name $stage \
        --configuration $stage
    expect "run $stage" 0 "c " segment case_0000.nii.gz -m $stage -o $stage.nii.gz
    same "labels of $stage" $stage.nii.gz "$golden/expected_$stage.nii.gz"
done
expect "a configuration that is not there" 2 "there are: " "$FABRICA" model add "$golden/Dataset901_Cascade" \
    --models own --name none --configuration 3d_fullres
mkdir -p alone && cp -r "$golden/${result}_cascade_fullres" alone/
expect "a cascade without its first stage" 3 "3d_cascade_fullres needs the results of 3d_lowres" \
    "$FABRICA" model add alone --models own --name alone
printf x >>own/cascade/${result}_lowres/fold_0/checkpoint_final.pth
"$FABRICA" model verify cascade --models own >.out 2>&1 && bad "verify finds damage in the first stage" || ok "verify finds damage in the first stage"
expect "add it again" 0 "added cascade" "$FABRICA" model add "$golden" --models own --name cascade --replace

# its images by name
cp case_0000.nii.gz ct.nii.gz && cp case_0001.nii.gz mr.nii.gz
asked "by the name of the other channel" 0 "a " ct.nii.gz --channel T1=mr.nii.gz
same "the same labels" got.nii.gz "$golden/expected_postprocessed.nii.gz"
asked "by its number" 0 "a " ct.nii.gz --channel=1=mr.nii.gz
asked "the input may be any of them" 0 "a " mr.nii.gz --channel ct=ct.nii.gz --modality MR
same "the same labels, whichever it is" got.nii.gz "$golden/expected_postprocessed.nii.gz"
asked "the first channel is CT" 3 "is for CT; ct.nii.gz is MR" ct.nii.gz --channel T1=mr.nii.gz --modality MR
asked "one image, no names" 2 'needs 2 images of one patient on one grid (CT, T1)' ct.nii.gz
asked "the second one is missing" 3 "channel T1: " ct.nii.gz --channel T1=gone.nii.gz
cp ct.nii.gz only_0000.nii.gz
asked "no file beside it" 3 "only_0001.nii.gz does not exist" only_0000.nii.gz
asked "the second one first" 2 "call the files CASE_0000" case_0001.nii.gz --modality CT
asked "a name that is none" 2 'no channel "T2"; the names are CT, T1' ct.nii.gz --channel T2=mr.nii.gz
asked "no path" 2 "a channel is NAME=PATH" ct.nii.gz --channel T1
asked "one given twice" 2 "T1 is given twice" ct.nii.gz --channel T1=mr.nii.gz --channel 1=mr.nii.gz
asked "all given, and the input" 2 "so 1 must be given" ct.nii.gz --channel T1=mr.nii.gz --channel CT=ct.nii.gz
python3 - <<'PY'
import gzip, struct
raw = bytearray(gzip.open("mr.nii.gz").read())
moved = bytearray(raw)
for at in (292, 308, 324):  # a shift along every axis of the srow matrix
    moved[at:at + 4] = struct.pack("<f", struct.unpack("<f", raw[at:at + 4])[0] + 1)
gzip.open("moved.nii.gz", "wb").write(moved)
near = bytearray(raw)
near[292:296] = struct.pack("<f", struct.unpack("<f", raw[292:296])[0] + 0.05)
gzip.open("near.nii.gz", "wb").write(near)
nx, ny, nz = struct.unpack("<3h", raw[42:48])
short = raw[:352 + 2 * nx * ny * (nz - 1)]
short[46:48] = struct.pack("<h", nz - 1)
gzip.open("short.nii.gz", "wb").write(short)
PY
asked "another place" 3 "is not on the grid of ct.nii.gz" ct.nii.gz --channel T1=moved.nii.gz
asked "another size" 3 "register and resample it first" ct.nii.gz --channel T1=short.nii.gz
asked "rounded otherwise" 0 "a " ct.nii.gz --channel T1=near.nii.gz
expect "a network of one image" 2 "sees one image" "$FABRICA" segment ct.nii.gz --channel T1=mr.nii.gz --modality CT \
    -m unet-tiny -o one.nii.gz
expect "a twin of two images" 0 "exports" "$FABRICA" twin case_0000.nii.gz -m cascade --models own -o case --format glb
holds "the manifest names both" python3 -c "
import hashlib, json
m = json.load(open('case/manifest.json'))
sha = [hashlib.sha256(open(f, 'rb').read()).hexdigest() for f in ('case_0000.nii.gz', 'case_0001.nii.gz')]
assert m['input']['channels'] == [{'name': 'CT', 'sha256': sha[0]}, {'name': 'T1', 'sha256': sha[1]}], m['input']
assert m['options']['postprocessing'] is True
assert 'kept the largest component' in m['segmentation']['notes'], m['segmentation']"

# postprocessing that cannot be read
cp -r "$golden/Dataset901_Cascade" spoilt
steps=spoilt/nnUNetTrainer__nnUNetPlans__3d_cascade_fullres/crossval_results_folds_0_1
sed -i 's/remove_all_but_largest_component_from_segmentation/shell/' $steps/postprocessing.json
expect "a function that is not known" 3 'postprocessing.json: postprocessing_fns[0] "shell"' \
    "$FABRICA" model add spoilt --models own --name spoilt
printf 'cos\nsystem\n' >$steps/postprocessing.pkl && rm $steps/postprocessing.json
expect "Python functions" 3 "postprocessing.pkl holds Python functions" "$FABRICA" model add spoilt --models own --name spoilt

# an MR given to a network for CT, some of its values below 0
small="$SOURCE/tests/golden/nnunet_folder"
expect "add a network for CT" 0 "added small" "$FABRICA" model add "$small" --models own --name small
python3 - <<'PY'
import gzip, random, struct
raw = bytearray(gzip.open("mr.nii.gz").read())
n = (len(raw) - 352) // 2
random.seed(1)
def save(name, value):
    gzip.open(name, "wb").write(bytes(raw[:352]) + struct.pack(f"<{n}h", *(value() for _ in range(n))))
save("ringing.nii.gz", lambda: random.choice([0, 0, 0, -3, 12, 300, 500, 800, -40]))
save("dark.nii.gz", lambda: random.choice([0, 0, 2, 300, 500, 800, -120]))
save("normal.nii.gz", lambda: random.choice([-2, -1, 0, 1, 2]))
save("organs.nii.gz", lambda: random.choice([30, 40, 60, 100, 150, -90, -110, 0]))
PY
for image in ringing dark normal; do
    expect "$image is no CT" 3 "not Hounsfield units" segment $image.nii.gz -m small -o no.nii.gz
    expect "unless one says so" 0 "liver" segment $image.nii.gz -m small -o yes.nii.gz --modality CT
done
expect "organs without air are" 0 "liver" segment organs.nii.gz -m small -o yes.nii.gz
expect "and no MR where that is said" 3 "is for CT; organs.nii.gz is MR" segment organs.nii.gz -m small -o no.nii.gz --modality MR
phantom patient 7
asked "channels of one study by their series" 0 "b " patient/dicom --series 1 --channel T1=patient/dicom#1
asked "a series that is not there" 3 "there is no number 7" patient/dicom --channel T1=patient/dicom#7
expect "DICOM knows itself" 2 "is DICOM of modality CT, not MR" segment patient/dicom -m small -o no.nii.gz --modality MR

# TotalSegmentator's data sets by their names
resampling() { # resampling NAME WANTED: of the card
    holds "$1 is run as $2" grep -q "\"resampling\": \"$2\"" "own/$1/model.json"
}
for name in Dataset299_body_1559subj Dataset258_lung_vessels_248subj Dataset299_mine; do
    mkdir -p "named/$name" && cp -r "$small"/Dataset900_Small/* "named/$name"
    expect "add $name" 0 "added $name" "$FABRICA" model add "named/$name" --models own
done
resampling Dataset299_body_1559subj totalsegmentator
resampling Dataset258_lung_vessels_248subj totalsegmentator
resampling Dataset299_mine nnunet
expect "add it as one of them" 0 "added mine" "$FABRICA" model add named/Dataset299_mine --models own --name mine --totalsegmentator
resampling mine totalsegmentator
expect "one that is not resampled runs" 0 "spleen" segment patient/dicom -m Dataset258_lung_vessels_248subj -o vessels.nii.gz

rm -r named/Dataset299_mine && cp -r "$small/Dataset900_Small" named/Dataset297_TotalSegmentator_total_3mm
expect "a folder of many tasks" 2 "(lung_vessels_LEGACY, total, body): choose with --task" \
    "$FABRICA" model add named --models own --name tasks
expect "one of them" 0 "added tasks to own: 1 part" "$FABRICA" model add named --models own --name tasks --task total
holds "that one alone" sh -c '[ "$(ls own/tasks)" = "Dataset297_TotalSegmentator_total_3mm
model.json" ]'
expect "one that is not there" 3 "no networks of task face; there are: lung_vessels_LEGACY, total, body" \
    "$FABRICA" model add named --models own --name face --task face

# a package takes only the parts that its card names
mkdir sets && cp -r "$small/Dataset900_Small" sets/Dataset900_TotalSegmentator_a
expect "add a task" 0 "added task" "$FABRICA" model add sets --models own --name task
cp -r "$small/Dataset900_Small" own/task/Dataset901_TotalSegmentator_b
sed -i 's/"liver"/"kidney_left"/' own/task/Dataset901_TotalSegmentator_b/*/dataset.json
expect "what lies beside is not run" 0 "spleen" segment patient/dicom -m task -o task.nii.gz
holds "nor in the table" python3 -c "
import json
names = {row['name'] for row in json.load(open('task.json'))['labels']}
assert names == {'spleen', 'liver', 'aorta'}, names"
finish
