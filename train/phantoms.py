"""Training blocks from the project's own phantom: whole bodies with complete truth, one block each.

    phantoms.py --pool RUNS/phantoms --count 40 [--program build/fabrica]

The phantom varies what two label maps cannot: scoliosis, age, size, six or four lumbar vertebrae,
where an organ lies. Its shapes are smoother than nature's, so it is a minor share of the training.
"""

import argparse
import json
import os
import pathlib
import subprocess
import tempfile

import nibabel as nib
import numpy as np
import pydicom

import classes
import volumes

SPACING_MM = 2.0
TARGET_MM = 4.0
MARGIN = 4  # voxels of TARGET_MM of air kept around the body


def options(rng):
    """Command line options of one patient."""
    age = int(rng.integers(12, 85))
    sex = rng.choice(["f", "m"])
    height = rng.normal(1640 if sex == "f" else 1760, 70) * (0.9 if age < 15 else 1.0)
    out = ["--age", age, "--sex", sex, "--height", int(height), "--noise", int(rng.uniform(5, 60))]
    out += ["--cobb", int(max(0, rng.normal(12, 18))), "--lordosis", int(rng.uniform(30, 65))]
    out += ["--kyphosis", int(rng.uniform(20, 55)), "--lumbar", rng.choice([4, 5, 5, 5, 5, 6])]
    out += ["--phase", rng.choice(["native", "arterial", "portal"])]
    return [str(v) for v in out]


def read_series(folder):
    """CT volume of a folder of single-slice files in LPS order (z, y, x), HU."""
    slices = [pydicom.dcmread(p) for p in folder.rglob("*") if p.is_file()]
    slices = [s for s in slices if "ImagePositionPatient" in s]
    slices.sort(key=lambda s: float(s.ImagePositionPatient[2]))
    return np.stack([s.pixel_array * float(s.RescaleSlope) + float(s.RescaleIntercept) for s in slices])


def block(folder):
    """(image HU int16, class uint8) of a phantom's folder on the network's grid."""
    hu = read_series(folder / "dicom").astype(np.float32)
    image = nib.load(str(folder / "truth/labels.nii.gz"))
    lab, spacing = volumes.read_lps(folder / "truth/labels.nii.gz")
    if lab.shape != hu.shape:
        raise ValueError(f"{folder}: labels {lab.shape}, images {hu.shape} ({image.header.get_zooms()})")
    table = np.full(256, classes.SOFT, np.uint8)
    table[0] = 0
    for entry in json.loads((folder / "truth/labels.json").read_text())["labels"]:
        table[entry["value"]] = classes.class_of(entry["name"])
    target = [TARGET_MM] * 3
    img = volumes.resample_image(hu, spacing, target)
    cls = volumes.resample_nearest(table[lab], spacing, target)
    box = np.argwhere(cls > 0)
    lo = np.maximum(box.min(0) - [0, MARGIN, MARGIN], 0)
    hi = box.max(0) + 1 + [0, MARGIN, MARGIN]
    sl = tuple(slice(a, b) for a, b in zip(lo, hi))
    return np.round(np.clip(img[sl], -1024, 3000)).astype(np.int16), cls[sl]


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--program", default="build/fabrica")
    ap.add_argument("--pool", type=pathlib.Path, required=True)
    ap.add_argument("--count", type=int, default=40)
    ap.add_argument("--first-seed", type=int, default=10000, help="tests and evaluation use seeds below 10000")
    a = ap.parse_args()
    a.pool.mkdir(parents=True, exist_ok=True)
    for i in range(a.count):
        done = a.pool / f"b{i:04d}.npz"
        if done.exists():
            continue
        seed = a.first_seed + i
        rng = np.random.default_rng(seed)
        with tempfile.TemporaryDirectory(dir=a.pool) as tmp:
            folder = pathlib.Path(tmp) / "patient"
            command = [a.program, "phantom", "-q", "-j", "1", "--spacing", str(SPACING_MM), "--seed", str(seed)]
            subprocess.run([*command, *options(rng), "-o", str(folder)], check=True)
            img, cls = block(folder)
        np.savez(a.pool / "next.tmp.npz", img=img, cls=cls, map=f"phantom {seed}")
        os.replace(a.pool / "next.tmp.npz", done)


if __name__ == "__main__":
    main()
