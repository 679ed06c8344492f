#!/bin/sh
# Models that nnU-Net and TotalSegmentator wrote: added, listed, verified, run.
. "$(dirname "$0")/lib.sh"
golden="$SOURCE/tests/golden/nnunet_folder"
result=Dataset900_Small/nnUNetTrainer__nnUNetPlans__3d_fullres
phantom patient 7
series=patient/dicom

expect "add a folder of data sets" 0 "added small to own: 1 part, 3 structures" \
    "$FABRICA" model add "$golden" --models own --name small
expect "add over it" 2 "exists" "$FABRICA" model add "$golden" --models own --name small
expect "add in its place" 0 "added small" "$FABRICA" model add "$golden" --models own --name small --replace
expect "list" 0 "small" "$FABRICA" model list --models own
expect "show" 0 "aorta" "$FABRICA" model show small --models own
expect "verify" 0 "small 1: ok" "$FABRICA" model verify --models own
expect "segment" 0 "liver" "$FABRICA" segment $series --models own -m small -o small.nii.gz
expect "an added model is not the default" 0 '"model": "unet-tiny"' \
    env FABRICA_MODELS="$PWD/own:$FABRICA_MODELS" "$FABRICA" segment $series -o default.nii.gz --json
expect "not TotalSegmentator's" 2 "it has no --fast" "$FABRICA" segment $series --models own -m small -o x.nii.gz --fast
expect "the person's own place" 0 "added mine to $WORK/data/fabrica/models" \
    env XDG_DATA_HOME="$WORK/data" "$FABRICA" model add "$golden/$result" --name mine
expect "is looked in" 0 "mine" env XDG_DATA_HOME="$WORK/data" "$FABRICA" model list

# a zip as TotalSegmentator offers it
mkdir zip && cp -r "$golden/Dataset900_Small" zip/Dataset900_TotalSegmentator_small
(cd zip && python3 -c 'import shutil; shutil.make_archive("../total", "zip", ".")')
expect "add a zip" 0 "added total to own: 1 part, 3 structures" "$FABRICA" model add total.zip --models own
holds "nothing else is left" sh -c '[ "$(ls own)" = "small
total" ] && [ "$(ls own/total)" = "Dataset900_TotalSegmentator_small
model.json" ]'
expect "segment at 3 mm" 0 "spleen" "$FABRICA" segment $series --models own -m total -o total.nii.gz --fast
expect "segment one structure" 0 "aorta" "$FABRICA" segment $series --models own -m total -o roi.nii.gz --roi-subset aorta
holds "values are TotalSegmentator's" python3 -c "
import json
values = {row['name']: row['value'] for row in json.load(open('total.json'))['labels']}
assert values == {'spleen': 1, 'liver': 5, 'aorta': 52}, values"
expect "no 6 mm network" 3 "there are data sets 900 (3 mm)" \
    "$FABRICA" segment $series --models own -m total -o x.nii.gz --fastest
expect "no such structure" 3 'no structure "nose"' \
    "$FABRICA" segment $series --models own -m total -o x.nii.gz --roi-subset nose
expect "a whole twin of it" 0 "twin.glb" "$FABRICA" twin $series --models own -m total -o case --format glb
holds "the manifest names the model" python3 -c "
import json
case = json.load(open('case/manifest.json'))
m, steps = case['segmentation'], {s['name']: s for s in case['run']['steps']}
parts = {p['name']: p for p in steps['segment']['parts']}
assert {'resample', 'load', 'prepare', 'network', 'finish', 'labels back'} == set(parts), parts
assert 0 < parts['network']['cpu_s'] and sum(p['cpu_s'] for p in parts.values()) <= steps['segment']['cpu_s'] + 0.01
assert m['source'] == 'network' and m['model']['name'] == 'total' and len(m['model']['weights_sha256']) == 64"
holds "every structure has a confidence" python3 -c "
import json
rows = json.load(open('case/manifest.json'))['structures']
assert len(rows) == 3 and all(0.25 < r['confidence'] <= 1 for r in rows), [r['confidence'] for r in rows]"

# names as a shell's completion and a download leave them
mv zip/Dataset900_TotalSegmentator_small sets && mkdir folder && mv sets folder/Dataset900_TotalSegmentator_small
cp total.zip Dataset900_TotalSegmentator_small.zip
expect "add a zip called like its data set" 0 "added Dataset900_TotalSegmentator_small to own" \
    "$FABRICA" model add Dataset900_TotalSegmentator_small.zip --models own
expect "it runs" 0 "spleen" "$FABRICA" segment $series --models own -m Dataset900_TotalSegmentator_small -o named.nii.gz --fast
expect "a slash at the end of a path" 0 "added slash to own" \
    "$FABRICA" model add folder/Dataset900_TotalSegmentator_small/ --models own --name slash
expect "it is TotalSegmentator's too" 0 "spleen" "$FABRICA" segment $series -m own/slash -o slash.nii.gz --fast

# what is no model, or a damaged one
expect "add nothing" 2 "which folder or zip" "$FABRICA" model add --models own
mkdir empty
expect "add an empty folder" 3 "no nnU-Net result" "$FABRICA" model add empty --models own
echo hello >notes.txt
expect "add a text file" 3 "notes.txt" "$FABRICA" model add notes.txt --models own
cp -r "$golden/Dataset900_Small" broken
printf x >broken/nnUNetTrainer__nnUNetPlans__3d_fullres/fold_1/checkpoint_final.pth
expect "add a broken checkpoint" 3 "fold_1" "$FABRICA" model add broken --models own
cp -r "$golden/Dataset900_Small" folder/Dataset901_TotalSegmentator_part2
echo '{' >folder/Dataset901_TotalSegmentator_part2/nnUNetTrainer__nnUNetPlans__3d_fullres/plans.json
expect "one of several is damaged" 3 "folder/Dataset901_TotalSegmentator_part2: plans.json" \
    "$FABRICA" model add folder --models own --name broken
rm folder/Dataset901_TotalSegmentator_part2/*/plans.json
expect "one of several is empty" 3 "Dataset901_TotalSegmentator_part2: no nnU-Net results" \
    "$FABRICA" model add folder --models own --name broken
cp -r "$golden/$result" evil
sed 's/"dataset_name": *"[^"]*"/"dataset_name": "..\/..\/outside"/' "$golden/$result/plans.json" >evil/plans.json
expect "a name that leaves the package" 3 "is no folder's name" "$FABRICA" model add evil --models own --name broken
holds "nothing is written outside" sh -c '[ ! -e outside ]'
cp -r "$golden/$result" named
sed 's/"liver"/"..\/liver"/' "$golden/$result/dataset.json" >named/dataset.json
expect "a structure's name that is a path" 3 'label name "../liver"' "$FABRICA" model add named --models own --name broken
mkdir twins && cp -r "$golden/Dataset900_Small" twins/a && cp -r "$golden/Dataset900_Small" twins/b
expect "two data sets of one name" 3 "two data sets are called Dataset900_Small" \
    "$FABRICA" model add twins --models own --name broken
nothing_left "nothing half added" own
holds "no broken model" sh -c '[ ! -e own/broken ]'
for folder in "$golden/$result" ../small/$result ""; do
    mkdir -p own/card && printf '{"format": "fabrica-nnunet", "name": "card", "version": "1", "modality": "CT",
        "parts": [{"folder": "%s", "weights_sha256": "0"}], "labels": [{"name": "liver"}]}' "$folder" >own/card/model.json
    expect "a card that points to \"$folder\"" 3 "is no folder in the package" \
        "$FABRICA" segment $series --models own -m card -o card.nii.gz
    expect "verify refuses it" 3 "is no folder in the package" "$FABRICA" model verify card --models own
done
printf '{"format": "fabrica-nnunet", "name": "card", "version": "1", "modality": "CT"}' >own/card/model.json
expect "a card without parts" 3 "card" "$FABRICA" segment $series --models own -m card -o card.nii.gz
rm -r own/card
# Ctrl-C while a large checkpoint is copied: the folder in the making goes too
cp -r "$golden/Dataset900_Small" large && truncate -s 400M large/nnUNetTrainer__nnUNetPlans__3d_fullres/fold_0/checkpoint_final.pth
cat >stop.py <<'END'
import os, signal, subprocess, sys, time
job = subprocess.Popen([sys.argv[1], "model", "add", "large", "--models", "stopped"], stderr=subprocess.PIPE)
while job.poll() is None and not (os.path.isdir("stopped") and os.listdir("stopped")):
    time.sleep(0.001)
job.send_signal(signal.SIGINT)
said = job.communicate()[1].decode()
print(job.returncode, os.listdir("stopped"), said)
sys.exit(not (job.returncode == 130 and os.listdir("stopped") == []))
END
holds "Ctrl-C during model add leaves nothing" python3 stop.py "$FABRICA"
printf x >>own/small/$result/fold_0/checkpoint_final.pth
"$FABRICA" model verify small --models own >.out 2>&1 && bad "verify finds damage" "$(cat .out)" || ok "verify finds damage"
finish
