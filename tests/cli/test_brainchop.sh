#!/bin/sh
# A MeshNet as brainchop publishes them (made here: three classes by brightness): added, listed, verified, run.
. "$(dirname "$0")/lib.sh"
phantom patient 7
cat >make.py <<'END'
import array, gzip, json, pathlib, struct

def nifti(path, size, mm, values, at=0):
    head = bytearray(352)
    struct.pack_into("<i", head, 0, 348)
    struct.pack_into("<8h", head, 40, 3, *size, 1, 1, 1, 1)
    struct.pack_into("<2h", head, 70, 4, 16)
    struct.pack_into("<8f", head, 76, 1, *mm, 1, 1, 1, 1)
    struct.pack_into("<3f", head, 108, 352, 1, 0)
    struct.pack_into("<2h", head, 252, 0, 1)
    for row in range(3):
        srow = [0.0] * 4
        srow[row], srow[3] = mm[row], -mm[row] * size[row] / 2 + at
        struct.pack_into("<4f", head, 280 + 16 * row, *srow)
    head[344:348] = b"n+1\0"
    with gzip.open(path, "wb", 1) as f:
        f.write(bytes(head) + array.array("h", values).tobytes())

# a head: 400 in an ellipsoid, 800 in its middle; a speck of 1000 apart
def head(size, mm):
    for k in range(size[2]):
        for j in range(size[1]):
            for i in range(size[0]):
                x, y, z = ((p + 0.5 - n / 2) * s for p, n, s in zip((i, j, k), size, mm))
                r = x * x / 60**2 + y * y / 70**2 + z * z / 65**2
                yield 800 if r < 0.3 else 400 if r < 1 else 1000 if i == j == k == 2 else 0

size, mm = (60, 64, 50), (2.4, 2.6, 3.0)
t1 = list(head(size, mm))
nifti("t1.nii.gz", size, mm, t1)
nifti("ct.nii.gz", size, mm, [3 * v // 2 - 1000 for v in t1])
nifti("body.nii.gz", size, (2.4, 2.6, 9.0), t1)
nifti("flat.nii.gz", (20, 20, 20), mm, [7] * 8000)

layers = [{"class_name": "InputLayer", "name": "in", "config": {"name": "in", "batch_input_shape": [None, 256, 256, 256, 1]}},
          {"class_name": "Conv3D", "name": "c", "config": {
              "name": "c", "filters": 3, "kernel_size": [1, 1, 1], "strides": [1, 1, 1], "dilation_rate": [1, 1, 1],
              "padding": "same", "data_format": "channels_last", "activation": "linear", "use_bias": True}}]
layers[0]["inbound_nodes"], layers[1]["inbound_nodes"] = [], [[["in", 0, 0, {}]]]
weights = [{"name": "c/kernel", "shape": [1, 1, 1, 1, 3], "dtype": "float32"}, {"name": "c/bias", "shape": [3], "dtype": "float32"}]
model = {"format": "layers-model", "modelTopology": {"model_config": {"class_name": "Functional", "config": {"layers": layers}}},
         "weightsManifest": [{"paths": ["model.bin"], "weights": weights}]}

def folder(name, change=lambda m: None, labels=("BG", "ctx-lh-insula", "Brain-Stem")):
    path, changed = pathlib.Path(name), json.loads(json.dumps(model))
    path.mkdir()
    change(changed)
    (path / "model.json").write_text(json.dumps(changed))
    (path / "model.bin").write_bytes(struct.pack("<6f", -10, 0, 20, 2.5, 0, -13))  # bounds at 0.25 and 0.65
    if labels:
        (path / "colormap.json").write_text(json.dumps({"labels": labels}))

def last(m):
    return m["modelTopology"]["model_config"]["config"]["layers"][1]

folder("three")
folder("nameless", labels=None)
folder("two", labels=["BG", "brain"])
folder("deep", lambda m: last(m).update(class_name="Conv3DTranspose"))
folder("quantised", lambda m: m["weightsManifest"][0]["weights"][0].update(quantization={"dtype": "uint8", "scale": 1, "min": 0}))
folder("shards", lambda m: m["weightsManifest"][0]["paths"].append("more.bin"))
folder("cut")
pathlib.Path("cut/model.bin").write_bytes(b"\0" * 20)
END
python3 make.py || bad "making the network"

expect "add" 0 "added three to own: 1 part, 2 structures" "$FABRICA" model add three --models own
expect "list" 0 "MR" "$FABRICA" model list --models own
expect "show" 0 "cortex_insula_left" "$FABRICA" model show three --models own
expect "verify" 0 "three 1: ok" "$FABRICA" model verify --models own
holds "only what is used is copied" sh -c '[ "$(ls own/three own/three/brainchop | tr "\n" " ")" = "own/three: brainchop model.json  own/three/brainchop: colormap.json model.bin model.json " ]'
python3 -c 'import shutil; shutil.make_archive("zipped", "zip", ".", "three")'
expect "add a zip" 0 "added zipped to own: 1 part, 2 structures" "$FABRICA" model add zipped.zip --models own
cp -r three torn && head -c 300 three/model.json >torn/model.json
expect "a description cut short" 3 "model.json: not valid JSON" "$FABRICA" model add torn --models own
expect "names that nobody gave" 0 "called class_N" "$FABRICA" model add nameless --models own

expect "segment a T1" 0 "brain_stem" "$FABRICA" segment t1.nii.gz --models own -m three -o labels.nii.gz
"$FABRICA" segment t1.nii.gz --models own -m three -o again.nii.gz --json >summary.json || bad "segment --json"
holds "the same again" cmp labels.nii.gz again.nii.gz
cat >check.py <<'END'
import array, gzip, json, sys
raw, t1 = gzip.open("labels.nii.gz").read(), gzip.open("t1.nii.gz").read()
labels, values = raw[352:], array.array("h", t1[352:])
assert len(labels) == len(values) and raw[280:328] == t1[280:328]
wrong = sum({0: 0, 400: 1, 800: 2, 1000: 0}[v] != l for v, l in zip(values, labels))
summary = json.load(open("summary.json"))
print(wrong, len(labels), summary["notes"])
assert wrong < 0.06 * sum(v > 0 for v in values)  # a border voxel may fall on either side after resampling
assert labels[2 + 60 * (2 + 64 * 2)] == 0         # the speck is not joined to the rest
assert "conformed to 256 x 256 x 256" in summary["notes"] and "brought to 0 to 255" in summary["notes"]
rows = {r["name"]: r for r in summary["structures"]}
assert 0.5 < rows["cortex_insula_left"]["confidence"] < 1 and summary["run"]["peak_rss_bytes"] > 1e8
END
holds "labels, what was done, confidence" python3 check.py
expect "a twin" 0 "2 structures" "$FABRICA" twin t1.nii.gz --models own -m three -o case --format glb
cat >case.py <<'END'
import json
m = json.load(open("case/manifest.json"))
rows = {s["name"]: s for s in m["structures"]}
stem = rows["brain_stem"]
assert m["segmentation"]["model"]["name"] == "three" and "quantile" not in m["segmentation"]["notes"]
assert "smallest and largest value" in m["segmentation"]["notes"], m["segmentation"]["notes"]
assert stem["code"]["value"] == "119238007" and rows["cortex_insula_left"]["laterality"] == "left"
assert stem["mesh"]["closed"] and stem["confidence"] > 0.5
# an ellipsoid of 0.3^1.5 * 4/3 pi * 60 * 70 * 65 mm3 = 187.9 ml: its surface, not that of its voxels
assert abs(stem["mesh"]["volume_ml"] / 187.9 - 1) < 0.06, stem["mesh"]
assert stem["mesh"]["area_mm2"] < 1.2 * 15900, stem["mesh"]["area_mm2"]
END
holds "the case says what was done" python3 case.py

# what it is not for
expect "a CT for an MR network" 3 "is for MR" "$FABRICA" segment patient/dicom --models own -m three -o x.nii.gz
expect "a CT without a header that says so" 3 "is for MR; ct.nii.gz is CT" "$FABRICA" segment ct.nii.gz --models own -m three -o x.nii.gz
expect "an image of more than a head" 3 "spans 144 x 166 x 450 mm" "$FABRICA" segment body.nii.gz --models own -m three -o x.nii.gz
expect "an image of nothing" 3 "no head in it" "$FABRICA" segment flat.nii.gz --models own -m three -o x.nii.gz
expect "no fast one" 2 "looks at the whole head at once" "$FABRICA" segment t1.nii.gz --models own -m three -o x.nii.gz --fast
expect "too little memory" 3 "the cap is" "$FABRICA" segment t1.nii.gz --models own -m three -o x.nii.gz --max-memory 100M
expect "not added yet" 3 "fabrica model add" "$FABRICA" segment t1.nii.gz -m three -o x.nii.gz
expect "listed as not added" 0 "not added yet" "$FABRICA" model list --models .
expect "never by itself" 3 "is for CT" env FABRICA_MODELS=own "$FABRICA" segment t1.nii.gz -o x.nii.gz

# what is no network, or none that runs
expect "names that do not fit" 3 "two/colormap.json: 2 names, the network has 3 classes" "$FABRICA" model add two --models own
expect "an unknown layer" 3 'class_name is "Conv3DTranspose"' "$FABRICA" model add deep --models own
expect "quantised weights" 3 "quantization is not supported" "$FABRICA" model add quantised --models own
expect "weights in pieces" 3 "paths has 2 files" "$FABRICA" model add shards --models own
expect "weights cut short" 3 "20 bytes" "$FABRICA" model add cut --models own
nothing_left "nothing half added" own
holds "none of them is there" sh -c '[ "$(ls own | tr "\n" " ")" = "nameless three zipped " ]'
printf x >>own/three/brainchop/model.bin
expect "damage is found" 3 "25 bytes" "$FABRICA" model verify three --models own
finish
