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
# What the phantom's truth calls the parts of a structure of ours.
PHANTOM = {
    "vertebrae": ["vertebrae_*"], "ribs": ["rib_*"], "lungs": ["lung_*"], "hips": ["hip_*"], "femurs": ["femur_*"],
    "kidneys": ["kidney_*"], "bowel": ["small_bowel", "duodenum", "colon", "rectum"], "discs": ["disc_*"],
    "autochthon": ["autochthon_*"], "gluteal_muscles": ["gluteus_*"], "iliopsoas": ["iliopsoas_*"],
    **{n: [n] for n in ("sacrum", "sternum", "heart", "aorta", "inferior_vena_cava", "liver", "gallbladder", "spleen",
                        "stomach", "pancreas", "urinary_bladder", "spinal_cord")},
}  # fmt: skip
# What a public crop around L3 calls the parts of vertebrae (made by another network, not by an expert).
PARTS = {
    "vertebral_body": ([49, 50], ["vertebral_body_*"]), "pedicles_and_laminae": ([41], ["pedicle_*", "lamina_*"]),
    "spinous_process": ([42], ["spinous_process_*"]), "transverse_processes": ([43, 44], ["transverse_process_*"]),
    "superior_articular_processes": ([45, 46], ["superior_articular_process_*"]),
    "inferior_articular_processes": ([47, 48], ["inferior_articular_process_*"]),
}  # fmt: skip
LEVELS = [f"C{i}" for i in range(1, 8)] + [f"T{i}" for i in range(1, 13)] + [f"L{i}" for i in range(1, 7)]
GROUPS = {
    "vertebrae": ["vertebrae_*"], "discs": ["disc_*"], "ribs": ["ribs_left", "ribs_right"], "lungs": ["lung_left", "lung_right"],
    "hips": ["hip_left", "hip_right"], "femurs": ["femur_left", "femur_right"], "kidneys": ["kidney_left", "kidney_right"],
    "autochthon": ["autochthon_*"], "gluteal_muscles": ["gluteal_muscles_*"], "iliopsoas": ["iliopsoas_*"],
    "muscles": ["autochthon_*", "gluteal_muscles_*", "iliopsoas_*"],
}  # fmt: skip


def run(*command):
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(map(str, command))}: {done.stderr.strip()}")
    return done.stdout


def fits(name, patterns):
    return any(name.startswith(p[:-1]) if p.endswith("*") else name == p for p in patterns)


def table_of(labels):
    """Names of a label map's values, from the table beside it."""
    path = labels.with_name(labels.name.replace(".nii.gz", ".json"))
    return {e["name"]: e["value"] for e in json.loads(path.read_text())["labels"]}


def rows_of(reference, predicted):
    """Structures of the reference with the values of each, and what the program calls their parts."""
    rows = []
    for name, values in reference.items():
        parts = [p for p in predicted if fits(p, GROUPS.get(name, [name]))]
        if parts and values:
            rows.append({"name": name, "reference": list(values), "predicted": parts})
    return rows


def of_phantom(labels):
    table = table_of(labels)
    out = {name: [v for n, v in table.items() if fits(n, patterns)] for name, patterns in PHANTOM.items()}
    return out | {n: [v] for n, v in table.items() if n.startswith("vertebrae_") and n != "vertebrae_S1"}


def cases(a, work):
    """(name, images, reference labels, structures), one after another; phantoms live no longer than needed."""
    for seed, options in PHANTOMS[: a.phantoms]:
        folder = work / f"phantom{seed}"
        run(a.program, "phantom", "-q", "--seed", seed, *options, "--spacing", "1.5", "-o", folder)
        labels = folder / "truth/labels.nii.gz"
        yield f"phantom{seed}", folder / "dicom", labels, of_phantom(labels)
    example = a.data / "labelled/totalsegmentator_example"
    if example.is_dir():
        single = {f"vertebrae_{n}": [v] for v, n in zip(range(18, 35), LEVELS[::-1][1:])}
        yield "example", example / "example_ct.nii.gz", example / "example_seg_full_v1_104cls_7fcc5698.nii.gz", EXAMPLE | single
    verse = a.data / "labelled/verse"
    if verse.is_dir():
        table = {"vertebrae": range(1, 26)} | {f"vertebrae_{n}": [i + 1] for i, n in enumerate(LEVELS)}
        for number in ("006", "007"):
            files = [verse / f"sub-verse{number}_{end}.nii.gz" for end in ("ct", "seg-vert_msk")]
            yield f"verse{number}", *files, table


def single_vertebrae(program, reference, labels, structures, work):
    """Dice of each vertebra of the reference under its own name, and under the names moved by the shift that fits best."""
    names = [n for n in structures if n.startswith("vertebrae_")]
    best = None
    for shift in (0, -1, 1, -2, 2):
        rows = []
        for n in names:
            at = LEVELS.index(n[10:]) + shift
            if 0 <= at < len(LEVELS):
                rows.append({"name": n, "reference": list(structures[n]), "predicted": ["vertebrae_" + LEVELS[at]]})
        found = evaluate(program, reference, labels, rows, work)
        if best is None or sum(found.values()) > sum(best[1].values()) + 1e-6:
            best = (shift, found)
    return best


def evaluate(program, reference, labels, rows, work):
    path = work / "map.json"
    path.write_text(json.dumps({"structures": rows}))
    report = json.loads(run(program, "evaluate", "-q", "--json", reference, labels, "--map", path))
    found = [s for s in report["structures"] if s["dice"] is not None and s["reference_voxels"] >= MIN_VOXELS]
    return {s["name"]: round(s["dice"], 4) for s in found}


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    root = pathlib.Path(os.environ.get("FAB_BUILD_ROOT", "build"))
    ap.add_argument("--program", type=pathlib.Path, default=root / "fabrica")
    ap.add_argument("--data", type=pathlib.Path, default=pathlib.Path("../shared/data"))
    ap.add_argument("--models", type=pathlib.Path, default=pathlib.Path("models"))
    ap.add_argument("--model", default="torso-ct")
    ap.add_argument("--phantoms", type=int, default=len(PHANTOMS))
    a = ap.parse_args()
    result = {}
    with tempfile.TemporaryDirectory() as folder:
        work = pathlib.Path(folder)
        for name, images, reference, structures in cases(a, work):
            labels = work / f"{name}.nii.gz"
            run(a.program, "segment", "-q", images, "--models", a.models, "-m", a.model, "-o", labels)
            grouped = {n: v for n, v in structures.items() if not n.startswith("vertebrae_")}
            result[name] = evaluate(a.program, reference, labels, rows_of(grouped, table_of(labels)), work)
            shift, singles = single_vertebrae(a.program, reference, labels, structures, work)
            result[name] |= singles | {"shift_of_names": shift}
            print(name, result[name], file=sys.stderr, flush=True)
        folder = a.data / "labelled/tptbox/sample_ct"
        if folder.is_dir() and (a.models / "spine-detail").is_dir():
            labels, parts = work / "crop.nii.gz", work / "crop_parts.nii.gz"
            run(a.program, "segment", "-q", folder / "sub-ct_label-22_ct.nii.gz", "--modality", "CT", "--force", "--models", a.models, "-m", a.model, "-o", labels, "--parts", parts)
            rows = [{"name": n, "reference": r, "predicted": p} for n, (r, p) in PARTS.items()]
            result["parts"] = evaluate(a.program, folder / "sub-ct_seg-subreg_label-22_msk.nii.gz", parts, rows, work)
            print("parts", result["parts"], file=sys.stderr)
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
