"""Cases for training from the project's own phantom: NAME_ct.nii.gz, NAME_seg.nii.gz, NAME_seg.json.

    phantoms.py OUT --count 36 [--program build/fabrica]

The phantom varies what two label maps cannot: scoliosis, age, size, four or six lumbar vertebrae, where an organ lies. Its shapes are smoother than
nature's, so it is a minor share of the training. Tests and evaluation use seeds below 10000.
"""

import argparse
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

import nibabel as nib
import numpy as np
import pydicom

FIRST_SEED = 10000


def options(index):
    """Command line options of one patient."""
    r = np.random.default_rng([7, index])
    age = int(r.integers(12, 85))
    sex = r.choice(["f", "m"])
    height = r.normal(1640 if sex == "f" else 1760, 70) * (0.9 if age < 15 else 1)
    out = ["--age", age, "--sex", sex, "--height", int(height), "--noise", int(r.uniform(5, 50)), "--seed", FIRST_SEED + index]
    out += ["--cobb", int(r.choice([0, r.uniform(5, 25), r.uniform(25, 75)], p=[0.3, 0.3, 0.4]))]
    out += ["--lordosis", int(r.uniform(30, 65)), "--kyphosis", int(r.uniform(20, 55)), "--lumbar", r.choice([4, 5, 5, 5, 5, 5, 6])]
    out += ["--phase", r.choice(["native", "arterial", "portal"]), "--kernel", r.choice(["soft", "soft", "bone"])]
    out += ["--apex", round(float(r.uniform(-2, 6)), 1), "--convex", r.choice(["left", "right"])]
    if r.random() < 0.1:
        out += ["--metal"]
    low, high = (-260, 480) if r.random() < 0.5 else (r.uniform(-260, 0), r.uniform(250, 480))
    out += [f"--range={low:.0f},{high:.0f}", "--spacing", "1.6,1.6,2", "--thickness", float(r.choice([2, 3, 5]))]
    return [str(v) for v in out]


def read_series(folder):
    """CT numbers of a folder of slices, (x, y, z), x to the left, y to the back, z to the head."""
    slices = [pydicom.dcmread(p) for p in folder.rglob("*") if p.is_file()]
    slices = [s for s in slices if "ImagePositionPatient" in s]
    slices.sort(key=lambda s: float(s.ImagePositionPatient[2]))
    return np.stack([s.pixel_array * float(s.RescaleSlope) + float(s.RescaleIntercept) for s in slices], -1).transpose(1, 0, 2)


def make(program, index, out):
    name = f"p{index}"
    with tempfile.TemporaryDirectory() as tmp:
        folder = pathlib.Path(tmp) / "patient"
        subprocess.run([program, "phantom", "-q", *options(index), "-o", folder], check=True)
        hu = read_series(folder / "dicom").astype(np.int16)
        labels = nib.load(folder / "truth/labels.nii.gz")
        for axis, letter in enumerate(nib.aff2axcodes(labels.affine)[:2]):
            if letter in "RA":
                hu = np.flip(hu, axis)
        if hu.shape != labels.shape:
            raise ValueError(f"{name}: images {hu.shape}, labels {labels.shape}")
        shutil.copy(folder / "truth/labels.nii.gz", out / f"{name}_seg.nii.gz")
        shutil.copy(folder / "truth/labels.json", out / f"{name}_seg.json")
        nib.save(nib.Nifti1Image(np.ascontiguousarray(hu), labels.affine), out / "making.nii.gz")
        os.replace(out / "making.nii.gz", out / f"{name}_ct.nii.gz")  # last: a case is there when its images are


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("out", type=pathlib.Path)
    ap.add_argument("--count", type=int, default=36)
    ap.add_argument("--program", default="build/fabrica")
    a = ap.parse_args()
    a.out.mkdir(parents=True, exist_ok=True)
    for index in range(a.count):
        if not (a.out / f"p{index}_ct.nii.gz").exists():
            make(a.program, index, a.out)
            print(f"p{index}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
