"""Cascades of two channels, 2d configurations and postprocessing of random networks, made here and run through the
program, against an independent restatement of nnU-Net (train/nnunet_reference.py).
Usage: cascade.py FABRICA [CASE ...]"""

import os
import pathlib
import subprocess
import sys
import tempfile

import nibabel
import numpy as np

ROOT = pathlib.Path(os.environ["FAB_SOURCE_ROOT"])
sys.path.insert(0, str(ROOT / "train"))
import golden_cascade as golden  # noqa: E402

LIMIT = 2e-4  # of the voxels: noise of the network's last bits


def run(program, *args):
    subprocess.run([program, *(str(a) for a in args), "-q", "--progress", "none"], check=True)


def labels_of(program, folder, configuration, *options):
    name = f"{configuration}{len(options)}"
    run(program, "model", "add", folder / "Dataset901_Made", "--models", folder / "models", "--name", name,
        "--configuration", configuration)
    out = folder / f"{name}.nii.gz"
    run(program, "segment", folder / "input/case_0000.nii.gz", "--models", folder / "models", "-m", name, "-o", out, *options)
    return np.asarray(nibabel.load(out).dataobj)


def check(program, folder, name, seed):
    case = golden.CASES[name]
    expected = golden.make(folder, "Dataset901_Made", case, seed)
    runs = [("3d_lowres", "3d_lowres", []), ("3d_cascade_fullres", "3d_cascade_fullres", ["--no-postprocessing"]),
            ("postprocessed", "3d_cascade_fullres", []), ("2d", "2d", [])]
    good = True
    for stage, configuration, options in runs:
        got = labels_of(program, folder, configuration, *options)
        wanted = expected[stage].transpose(2, 1, 0)
        other = int((got != wanted).sum())
        print(f"{name}, {stage}: {other} of {got.size} labels differ, values {np.bincount(wanted.ravel()).tolist()}", flush=True)
        good &= got.shape == wanted.shape and other <= LIMIT * got.size
    return good


def restatement_is_right():
    """Against nnU-Net's own label file of a case of two channels, where that data is at hand."""
    folder = pathlib.Path(os.environ.get("FAB_SHARED_DATA", ROOT / "../shared/data")) / "golden_nnunet/crop_transpose"
    if not folder.is_dir():
        print("the restatement against nnU-Net itself: skipped, the data is not here")
        return True
    images = [nibabel.load(p) for p in sorted((folder / "input").glob("*.nii.gz"))]
    result = next(folder.glob("model/*/*__3d_fullres"))
    arrays = [np.asarray(i.dataobj, "f4").transpose(2, 1, 0) for i in images]
    got = golden.reference.predict(result, arrays, [float(z) for z in images[0].header.get_zooms()[::-1]])
    wanted = np.asarray(nibabel.load(folder / "expected/label.nii.gz").dataobj).transpose(2, 1, 0)
    print(f"the restatement against nnU-Net itself: {(got != wanted).sum()} of {got.size} labels differ", flush=True)
    return bool((got != wanted).sum() <= 2e-5 * got.size)


def main():
    program, names = sys.argv[1], sys.argv[2:] or list(golden.CASES)
    good = restatement_is_right()
    for i, name in enumerate(names):
        with tempfile.TemporaryDirectory() as tmp:
            good &= check(program, pathlib.Path(tmp), name, 31 + i)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
