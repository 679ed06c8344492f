#!/usr/bin/python3
"""Dice per structure of a shipped network, case by case, by the program itself (segment, then evaluate).

    bench/accuracy.py [--data FOLDER] [--model NAME] [--phantoms 5] > accuracy.json

Cases: phantoms of fixed seeds below 10000 (training takes seeds from 10000 on; see train/phantoms.py), and
the public labelled scans of a data folder, when there is one. Real cases here are development cases: they
were watched while networks were trained. Only stdout is JSON; a table goes to standard error.
"""
import argparse
import json
import os
import pathlib
import subprocess
import sys
import tempfile

# Patients no network saw: (seed, options). What varies is what a network meets in a clinic.
PHANTOMS = [
    (1, ["--cobb", "35", "--age", "14", "--sex", "f"]),
    (2, ["--cobb", "0", "--age", "45", "--sex", "m", "--phase", "portal"]),
    (3, ["--cobb", "10", "--age", "78", "--sex", "f", "--phase", "native", "--noise", "35"]),
    (4, ["--cobb", "20", "--age", "30", "--sex", "m", "--phase", "arterial", "--height", "1920"]),
    (5, ["--cobb", "50", "--age", "60", "--sex", "f", "--lumbar", "6", "--phase", "portal"]),
]
# The example's reference: numbers of TotalSegmentator's first version (104 classes).
EXAMPLE = {
    "vertebrae": range(18, 42), "sacrum": [92], "hips": [90, 91], "femurs": [88, 89],
    "ribs": range(58, 82), "lungs": range(13, 18), "heart": range(44, 49), "aorta": [7],
    "inferior_vena_cava": [8], "liver": [5], "spleen": [1], "kidneys": [2, 3], "stomach": [6],
    "bowel": [55, 56, 57], "urinary_bladder": [104], "pancreas": [10], "autochthon": [100, 101],
    "gluteal_muscles": range(94, 100), "iliopsoas": [102, 103], "muscles": range(94, 104),
}  # fmt: skip
MIN_VOXELS = 50  # of the reference: a sliver at the scan's edge is no structure
GROUPS = {"ribs": ["ribs_sternum"], "muscles": ["autochthon", "gluteal_muscles", "iliopsoas"]}


def run(*command):
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(map(str, command))}: {done.stderr.strip()}")
    return done.stdout


def parts(name, card):
    """The values of the program's label map that make up a class: both sides of a paired one."""
    for label in card["labels"]:
        if label["name"] == name:
            return [label["left_name"], label["right_name"]] if label["split_left_right"] else [name]
    return []


def mapping(path, reference, card):
    rows = []
    for name, values in reference.items():
        predicted = [p for g in GROUPS.get(name, [name]) for p in parts(g, card)]
        if predicted:
            rows.append({"name": name, "reference": list(values), "predicted": predicted})
    path.write_text(json.dumps({"structures": rows}))
    return path


def cases(a, work, card):
    """(name, images, reference labels, mapping), one after another; phantoms live no longer than needed."""
    for seed, options in PHANTOMS[: a.phantoms]:
        folder = work / f"phantom{seed}"
        run(a.program, "phantom", "-q", "--seed", seed, *options, "--spacing", "1.5", "-o", folder)
        yield f"phantom{seed}", folder / "dicom", folder / "truth/labels.nii.gz", a.models / a.model / "model.json"
    example = a.data / "labelled/totalsegmentator_example"
    if example.is_dir():
        table = mapping(work / "map_example.json", EXAMPLE, card)
        yield "example", example / "example_ct.nii.gz", example / "example_seg_full_v1_104cls_7fcc5698.nii.gz", table
    verse = a.data / "labelled/verse"
    if verse.is_dir():
        table = mapping(work / "map_verse.json", {"vertebrae": range(1, 29)}, card)
        for number in ("006", "007"):
            files = [verse / f"sub-verse{number}_{end}.nii.gz" for end in ("ct", "seg-vert_msk")]
            yield f"verse{number}", *files, table


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    root = pathlib.Path(os.environ.get("FAB_BUILD_ROOT", "build"))
    ap.add_argument("--program", type=pathlib.Path, default=root / "fabrica")
    ap.add_argument("--data", type=pathlib.Path, default=pathlib.Path("../shared/data"))
    ap.add_argument("--models", type=pathlib.Path, default=pathlib.Path("models"))
    ap.add_argument("--model", default="torso-ct-first")
    ap.add_argument("--phantoms", type=int, default=len(PHANTOMS))
    a = ap.parse_args()
    card = json.loads((a.models / a.model / "model.json").read_text())
    result = {}
    with tempfile.TemporaryDirectory() as folder:
        work = pathlib.Path(folder)
        for name, images, reference, table in cases(a, work, card):
            labels = work / f"{name}.nii.gz"
            run(a.program, "segment", "-q", images, "--models", a.models, "-m", a.model, "-o", labels)
            report = json.loads(run(a.program, "evaluate", "-q", "--json", reference, labels, "--map", table))
            found = [s for s in report["structures"] if s["dice"] is not None and s["reference_voxels"] >= MIN_VOXELS]
            rows = {s["name"]: s["dice"] for s in found}
            result[name] = {k: round(v, 4) for k, v in rows.items()}
            print(name, result[name], file=sys.stderr, flush=True)
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
