#!/bin/sh
# The shipped networks on a phantom's lumbar spine: the second look's borders, and the parts.
. "$(dirname "$0")/lib.sh"
trained="--models $SOURCE/models --model torso-ct"
"$FABRICA" phantom -q --seed 21 --cobb 15 --spacing 1.5,1.5,2 --thickness 2 --range 20,190 -o patient || bad "phantom"
run() { "$FABRICA" segment patient/dicom $trained "$@"; }

expect "with the second look" 0 "vertebrae_L3" run -o fine.nii.gz --parts parts.nii.gz
expect "without it" 0 "vertebrae_L3" run -o coarse.nii.gz --no-detail
expect "no parts without it" 0 "not written" run -o none.nii.gz --no-detail --parts none_parts.nii.gz
[ ! -e none_parts.nii.gz ] && ok "no file of parts" || bad "no file of parts"
for part in vertebral_body_L3 pedicle_left_L3 pedicle_right_L2 lamina_left_L3 spinous_process_L2 \
    transverse_process_right_L3 superior_articular_process_left_L3 inferior_articular_process_right_L2 \
    modelled_ligamentum_flavum_L2_L3 modelled_thecal_sac modelled_nerve_root_left_L3; do
    grep -q "\"$part\"" parts.json || bad "parts hold $part"
done
ok "parts by level and side"
cat >better.py <<'PY'
import json, subprocess, sys
def dice(predicted):
    out = subprocess.run([sys.argv[1], "evaluate", "patient/truth/labels.nii.gz", predicted, "--json"],
                         capture_output=True, text=True, check=True).stdout
    return {s["name"]: s["dice"] for s in json.loads(out)["structures"]}
fine, coarse = dice("fine.nii.gz"), dice("coarse.nii.gz")
for level in ("L1", "L2", "L3", "L4"):
    name = f"vertebrae_{level}"
    print(name, fine[name], coarse[name])
    assert fine[name] > 0.85 and fine[name] > coarse[name], (name, fine[name], coarse[name])
PY
holds "finer borders are better ones" /usr/bin/env python3 better.py "$FABRICA"
expect "asked for by name it is a network of its own" 0 "spinous_process" \
    "$FABRICA" segment patient/dicom --models "$SOURCE/models" --model spine-detail -o own.nii.gz
expect "an existing file of parts" 2 "exists already" run -o fine2.nii.gz --parts parts.nii.gz
expect "one file for both maps" 2 "cannot hold both" run -o both.nii.gz --parts both.nii.gz
[ ! -e both.nii.gz ] && ok "nothing written for it" || bad "nothing written for it"
cp -r "$SOURCE/models" bent && chmod -R u+w bent
sed -i 's/"pedicle": 2/"pedicle": 99/' bent/spine-detail/model.json
expect "a part that is no class" 3 "model.json: detail: " "$FABRICA" segment patient/dicom --models bent -m torso-ct -o x.nii.gz
cp "$SOURCE/models/spine-detail/model.json" bent/spine-detail/ && head -c 90000 "$SOURCE/models/spine-detail/weights.safetensors" >bent/spine-detail/weights.safetensors
expect "weights cut short" 4 "weights.safetensors" "$FABRICA" segment patient/dicom --models bent -m torso-ct -o x.nii.gz
[ ! -e x.nii.gz ] && ok "refused before any work" || bad "refused before any work"
expect "and left off" 0 "vertebrae_L3" "$FABRICA" segment patient/dicom --models bent -m torso-ct -o x.nii.gz --no-detail
finish
