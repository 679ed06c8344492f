#!/bin/sh
# Ensembles of nnU-Net's configurations: what inference_information.json names, what one names, and
# files and folders that are not what they say.
. "$(dirname "$0")/lib.sh"
golden="$SOURCE/tests/golden/nnunet_cascade"
expected="$SOURCE/tests/golden/nnunet_ensemble"
result=Dataset901_Cascade/nnUNetTrainer__nnUNetPlans__
cp "$golden"/input/case_000[01].nii.gz .

# same NAME FILE FILE: the same voxels (what follows a NIfTI-1 header of 352 bytes)
same() {
    gzip -dc "$2" | tail -c +353 >.a && gzip -dc "$3" | tail -c +353 >.b
    if [ -s .a ] && cmp -s .a .b; then ok "$1"; else bad "$1" "$2 and $3 differ"; fi
}
add() { # add NAME CODE TEXT MODEL PATH ARGUMENTS...
    what=$1 code=$2 text=$3 model=$4 from=$5
    shift 5
    expect "$what" "$code" "$text" "$FABRICA" model add "$from" --models own --name "$model" "$@"
}
asked() { # asked NAME CODE TEXT MODEL ARGUMENTS...
    what=$1 code=$2 text=$3 model=$4
    shift 4
    expect "$what" "$code" "$text" "$FABRICA" segment case_0000.nii.gz -m "$model" --models own -o got.nii.gz --replace "$@"
}

# named by a person
for one in pair:2d,3d_cascade_fullres stages:3d_cascade_fullres,3d_lowres; do
    pair=${one%%:*}
    add "add ${one#*:}" 0 "added $pair to own: 2 parts, 3 structures" "$pair" "$golden/Dataset901_Cascade" --configuration "${one#*:}"
    asked "run it" 0 "Mean of the probabilities of" "$pair"
    same "the mean's labels" got.nii.gz "$expected/expected_$pair.nii.gz"
done
add "three, one by its whole name, from a folder above" 0 "added three to own: 3 parts" three "$golden" \
    --configuration "3d_lowres,2d,nnUNetTrainer__nnUNetPlans__3d_cascade_fullres"
asked "run them" 0 "and nnUNetTrainer__nnUNetPlans__3d_cascade_fullres (2 folds)" three
same "the mean of three" got.nii.gz "$expected/expected_three.nii.gz"
expect "show names the members" 0 "3d_cascade_fullres" "$FABRICA" model show stages --models own
expect "verify reads all" 0 "three 1: ok" "$FABRICA" model verify three --models own
asked "memory that is too little" 3 "MB of memory, the cap is 1 MB" three --max-memory 1MB
need=$(sed -n 's/.* need \([0-9]*\) MB.*/\1/p' "$WORK/.out")
asked "what was asked for is enough" 0 "a " three --max-memory "${need}MB"
add "one that is not there" 2 "no nnU-Net results of configuration 3d_fullres" none "$golden/Dataset901_Cascade" --configuration 2d,3d_fullres
add "one twice" 2 "2d is named twice" none "$golden/Dataset901_Cascade" --configuration 2d,3d_lowres,2d
add "one and a comma" 2 "fewer than two" none "$golden/Dataset901_Cascade" --configuration 2d,
asked "not TotalSegmentator's" 2 "it has no --fast" three --fast

# named by nnU-Net
cp -r "$golden/Dataset901_Cascade" . && cp -r "$expected/ensembles" "$expected/inference_information.json" Dataset901_Cascade/
add "add what did best" 0 "inference_information.json names the ensemble of nnUNetTrainer__nnUNetPlans__2d and nnUNetTrainer__nnUNetPlans__3d_cascade_fullres, fold 0" \
    chosen Dataset901_Cascade
holds "its folds alone" sh -c '[ "$(ls -d own/chosen/*/*/fold_*)" = "'"$(for s in 2d 3d_cascade_fullres 3d_lowres; do
    echo "own/chosen/$result$s/fold_0"; done)"'" ]'
asked "run it, cleaned" 0 "kept the largest component of a + b + c" chosen --json
same "the ensemble's own postprocessing" got.nii.gz "$expected/expected_chosen.nii.gz"
asked "not cleaned" 0 "b " chosen --no-postprocessing
same "the mean alone" got.nii.gz "$expected/expected_chosen_uncleaned.nii.gz"
expect "a twin of it" 0 "exports" "$FABRICA" twin case_0000.nii.gz -m chosen --models own -o case --format glb
holds "the manifest says what it is" python3 -c "
import json
notes = json.load(open('case/manifest.json'))['segmentation']['notes']
assert 'Mean of the probabilities of nnUNetTrainer__nnUNetPlans__2d (1 fold) and' in notes, notes
assert 'kept the largest component' in notes, notes"
add "the same of all folds" 0 "added backwards" backwards Dataset901_Cascade --configuration 3d_cascade_fullres,2d
holds "is another ensemble, with no file of its own" sh -c '! ls own/backwards/*/ensembles 2>/dev/null'
mv Dataset901_Cascade/ensembles/* "Dataset901_Cascade/ensembles/ensemble___nnUNetTrainer__nnUNetPlans__3d_cascade_fullres___nnUNetTrainer__nnUNetPlans__3d_lowres___0_1" # as both have
add "the other order of what nnU-Net named" 0 "added other" other Dataset901_Cascade --configuration 3d_lowres,3d_cascade_fullres
holds "has its file" ls own/other/Dataset901_Cascade/ensembles/postprocessing.json
add "the file that is named is not there" 3 "postprocessing_file: ensembles/ensemble___nnUNetTrainer__nnUNetPlans__2d" chosen Dataset901_Cascade --replace
rm -r Dataset901_Cascade/ensembles && cp -r "$expected/ensembles" Dataset901_Cascade/
mv Dataset901_Cascade/ensembles/*/postprocessing.json pp.json
printf 'cos\nsystem\n' >"$(echo Dataset901_Cascade/ensembles/*)/postprocessing.pkl"
add "Python functions" 3 "postprocessing.pkl holds Python functions" chosen Dataset901_Cascade --replace
mv pp.json "$(echo Dataset901_Cascade/ensembles/*)/postprocessing.json"
zip() { python3 -c 'import shutil, sys; shutil.make_archive(sys.argv[1], "zip", ".", "Dataset901_Cascade")' "$1"; }
zip packed
add "in a zip" 0 "added packed to own: 2 parts" packed packed.zip
mv own/packed/Dataset901_Cascade/ensembles/postprocessing.json .
asked "a package that lost its file" 3 "postprocessing.json" packed

# files that lie
json=Dataset901_Cascade/inference_information.json
spoil() { # spoil NAME CODE TEXT PYTHON: with d, the file's object
    cp "$expected/inference_information.json" $json
    python3 -c "
import json
d = json.load(open('$json'))
best = d['best_model_or_ensemble']
$4
json.dump(d, open('$json', 'w'))"
    add "$1" "$2" "$3" chosen Dataset901_Cascade --replace
}
spoil "a member that is not there" 3 "selected_model_or_models[1] is nnUNetTrainer__nnUNetPlans__3d_fullres, which is not there" \
    "best['selected_model_or_models'][1]['configuration'] = '3d_fullres'"
spoil "a fold that is not there" 3 "folds[1]: nnUNetTrainer__nnUNetPlans__2d has no fold_1" "d['folds'] = [0, 1]"
spoil "a way out" 3 'configuration "../../x" is no name' "best['selected_model_or_models'][0]['configuration'] = '../../x'"
spoil "no members" 3 "inference_information.json: best_model_or_ensemble: selected_model_or_models has 0 entries" \
    "best['selected_model_or_models'] = []"
spoil "one alone, with all folds" 0 "inference_information.json names nnUNetTrainer__nnUNetPlans__3d_lowres, folds 0 1" \
    "best['selected_model_or_models'] = [dict(best['selected_model_or_models'][0], configuration='3d_lowres')]
d['folds'] = [0, 1]
del best['postprocessing_file']"
asked "run it" 0 "a " chosen
same "its labels" got.nii.gz "$golden/expected_3d_lowres.nii.gz"
spoil "one alone, cleaned by a file that is not there" 3 "postprocessing_file: crossval_results_folds_0/postprocessing.json is not there" \
    "best['selected_model_or_models'] = [dict(best['selected_model_or_models'][0], configuration='3d_lowres')]
best['postprocessing_file'] = '/r/crossval_results_folds_0/postprocessing.pkl'"
echo "{" >$json
add "no JSON" 3 "inference_information.json" chosen Dataset901_Cascade --replace
add "a configuration that is named needs none" 0 "added low" low Dataset901_Cascade --configuration 3d_lowres
cp "$expected/inference_information.json" $json
sed -i 's/"b": 2/"other": 2/' ${result}2d/dataset.json
add "members of other labels" 3 "dataset.json: labels." chosen Dataset901_Cascade --replace
cp "$golden/${result}2d/dataset.json" ${result}2d/
sed -i 's/"T1"/"T2"/' ${result}3d_cascade_fullres/dataset.json
add "members of other images" 3 "dataset.json: channel_names.1 is T2" chosen Dataset901_Cascade --replace
cp "$golden/${result}3d_cascade_fullres/dataset.json" ${result}3d_cascade_fullres/
printf x >>${result}2d/fold_0/checkpoint_final.pth
: >${result}3d_cascade_fullres/fold_0/checkpoint_final.pth
add "weights that cannot be read" 3 "3d_cascade_fullres/fold_0" chosen Dataset901_Cascade --replace
mv Dataset901_Cascade Dataset297_TotalSegmentator_x
add "TotalSegmentator has none" 3 "has no ensembles" chosen Dataset297_TotalSegmentator_x --replace
finish
