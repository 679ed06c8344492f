#!/bin/sh
# fabrica train: from a patient with labels to a package that segments, stopped and resumed on the way.
. "$(dirname "$0")/lib.sh"
"$FABRICA" phantom -q --spacing 5 --range 20,140 --seed 5 -o patient || bad phantom
mkdir cases
cp patient/truth/labels.nii.gz cases/p_seg.nii.gz
cp patient/truth/labels.json cases/p_seg.json

# the series as a file, on the labels' grid
cat >convert.py <<'PY'
import gzip, pathlib, struct, sys
import numpy as np, pydicom
files = [pydicom.dcmread(p) for p in pathlib.Path("patient/dicom").rglob("*") if p.is_file()]
slices = sorted((s for s in files if "ImagePositionPatient" in s), key=lambda s: float(s.ImagePositionPatient[2]))
head = gzip.open("cases/p_seg.nii.gz").read(352)
shape = struct.unpack("<8h", head[40:56])[1:4]
hu = np.stack([s.pixel_array * float(s.RescaleSlope) + float(s.RescaleIntercept) for s in slices]).astype("<i2")
assert hu.shape == shape[::-1], (hu.shape, shape)
assert struct.unpack("<f", head[280:284])[0] < 0 and struct.unpack("<f", head[300:304])[0] < 0  # voxels run to L and P
out = bytearray(head)
out[70:74] = struct.pack("<2h", 4, 16)
gzip.open("cases/p_ct.nii.gz", "wb").write(bytes(out) + hu.tobytes())
PY
if ! /usr/bin/python3 -c 'import numpy, pydicom' 2>/dev/null; then echo "skipped: no numpy and pydicom"; exit 77; fi
holds "a case of image and labels" /usr/bin/python3 convert.py

cat >recipe.py <<'PY'
import json
arch = {"type": "PlainConvUNet", "input_channels": 1, "classes": 3,
        "stages": [{"features": f, "kernel": [3] * 3, "stride": [s] * 3, "convs": 1} for f, s in ((8, 1), (16, 2), (32, 2))],
        "decoder_convs": [1, 1], "norm": {"type": "instance", "eps": 1e-5, "affine": True},
        "activation": {"type": "leaky_relu", "slope": 0.01}, "conv_bias": True}
card = {"format": "fabrica-model", "format_version": 1, "name": "small", "version": "1", "modality": "CT", "license": "none",
        "architecture": arch,
        "preprocessing": {"orientation": "LPS", "spacing_mm": [6.0] * 3, "resampling": "fabrica-gauss-linear-1",
                          "normalization": {"type": "ct", "clip_hu": [-1000, 600], "mean": -100, "std": 250}, "padding_value_hu": -1024},
        "inference": {"patch_size": [16, 32, 32], "step": 0.5, "gaussian_sigma_scale": 0.125, "mirror_axes": []},
        "labels": [{"value": 1, "name": "vertebrae", "split_left_right": False}]}
print(json.dumps({"format": "fabrica-training", "format_version": 1, "classes": ["outside", "vertebrae", "rest"],
    "names": {"vertebrae": ["vertebrae_*", "vertebral_arch_*"]}, "rest": "rest", "weights": {"vertebrae": 5},
    "sources": [{"folder": "cases", "weight": 3}, {"labels": "cases/p_seg.nii.gz", "names": "cases/p_seg.json"}],
    "schedule": {"patch": [16, 32, 32], "batch": 2, "iterations": 400, "warmup": 10, "rate": 3e-3, "decay": 1e-4, "clip": 5,
                 "average": 0.95, "even_out": 0.5, "seed": 1}, "card": card}))
PY
/usr/bin/python3 recipe.py >recipe.json

expect "no folder for the run" 2 "needs --run" "$FABRICA" train recipe.json
expect "no such recipe" 3 "nowhere.json" "$FABRICA" train nowhere.json --run run
expect "no cases" 3 "cases" "$FABRICA" train recipe.json --data nowhere --run run
expect "a patch to look at" 0 "patch-4_labels.nii.gz" "$FABRICA" train recipe.json --run look --patch 4
[ -s look/patch-4_image.nii.gz ] && [ ! -e look/checkpoint.json ] && ok "nothing else" || bad "nothing else"

# stopped by a signal it saves; the same command goes on
cat >stop.py <<'PY'
import json, os, signal, subprocess, sys, time
p = subprocess.Popen([sys.argv[1], "train", "recipe.json", "--run", "run", "--progress", "json"], stderr=subprocess.PIPE, text=True,
                     stdout=subprocess.DEVNULL, preexec_fn=lambda: signal.signal(signal.SIGTERM, signal.SIG_DFL))
for line in p.stderr:
    if "iteration 40 of 400" in line:
        break
p.send_signal(signal.SIGTERM)
p.stderr.read()
assert p.wait() == 143, p.returncode
note = json.load(open("run/checkpoint.json"))
assert 40 <= note["iterations"] < 400 and os.path.exists("run/" + note["file"]), note
assert not [n for n in os.listdir("run") if "tmp" in n], os.listdir("run")
PY
holds "SIGTERM saves the run" /usr/bin/python3 stop.py "$FABRICA"
expect "it goes on" 0 "after 400 iterations" "$FABRICA" train recipe.json --run run --progress none
[ "$(wc -l <run/log.jsonl)" -eq 20 ] && ok "a line every 20 iterations, none twice" || bad "log" "$(wc -l <run/log.jsonl) lines"
[ "$(find run -name 'state-*' | wc -l)" -eq 1 ] && ok "one checkpoint" || bad "one checkpoint"

holds "the package segments" "$FABRICA" segment -q patient/dicom --models run -m small -o found.nii.gz
cat >dice.py <<'PY'
import json, subprocess, sys
rows = [{"name": "vertebrae", "predicted": ["vertebrae"],
         "reference": [l["value"] for l in json.load(open("cases/p_seg.json"))["labels"] if l["name"].startswith("vertebrae_")]}]
json.dump({"structures": rows}, open("map.json", "w"))
out = subprocess.run([sys.argv[1], "evaluate", "-q", "--json", "cases/p_seg.nii.gz", "found.nii.gz", "--map", "map.json"],
                     check=True, capture_output=True, text=True).stdout
dice = json.loads(out)["structures"][0]["dice"]
print(dice)
assert dice > 0.5, dice  # of what it was trained on, at 6 mm: that it learnt, not how well
PY
holds "it learnt" /usr/bin/python3 dice.py "$FABRICA"
cp run/state-400.safetensors damaged && head -c 1000 damaged >run/state-400.safetensors
expect "a damaged checkpoint" 4 "SHA-256" "$FABRICA" train recipe.json --run run
finish
