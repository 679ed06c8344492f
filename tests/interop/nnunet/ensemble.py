"""Ensembles of random networks, made here and run through the program, against an independent restatement of nnU-Net
(train/nnunet_reference.py): labels and regions, turned axes, several folds, and networks that are sure of different
things. Usage: ensemble.py FABRICA [CASE ...]"""

import json
import os
import pathlib
import subprocess
import sys
import tempfile

import nibabel
import numpy as np
import torch

ROOT = pathlib.Path(os.environ["FAB_SOURCE_ROOT"])
sys.path.insert(0, str(ROOT / "train"))
import golden_cascade as cascade  # noqa: E402
import golden_ensemble as golden  # noqa: E402

LIMIT = 2e-4  # of the voxels: noise of the networks' last bits
DATASET = "Dataset901_Made"


def run(program, *args):
    subprocess.run([program, *(str(a) for a in args), "-q", "--progress", "none"], check=True)


def compare(program, folder, what, wanted, *options):
    run(program, "model", "add", folder / DATASET, "--models", folder / "models", "--name", what, *options)
    out = folder / f"{what}.nii.gz"
    run(program, "segment", folder / "input/case_0000.nii.gz", "--models", folder / "models", "-m", what, "-o", out)
    got = np.asarray(nibabel.load(out).dataobj).transpose(2, 1, 0)
    other = int((got != wanted).sum())
    print(f"{folder.name}, {what}: {other} of {got.size} labels differ, values {np.bincount(wanted.ravel()).tolist()}", flush=True)
    return got.shape == wanted.shape and other <= LIMIT * got.size


def make_sure(folder):
    """Logits of tens: where networks disagree, both probabilities are 1 in float32."""
    for path in folder.glob(f"{DATASET}/*/fold_*/checkpoint_final.pth"):
        checkpoint = torch.load(path, map_location="cpu")
        for name, value in checkpoint["network_weights"].items():
            if name.startswith("decoder.seg_layers.1") or name.startswith("decoder.seg_layers.0"):
                value *= 16
        torch.save(checkpoint, path)


def check(program, folder, name, seed, sure):
    case = cascade.CASES[name]
    cascade.make(folder, DATASET, case, seed)
    if sure:
        make_sure(folder)
    members = ("2d", "3d_cascade_fullres")
    good = compare(program, folder, "pair", golden.make(folder, DATASET, case, members), "--configuration", ",".join(members))
    members = ("3d_cascade_fullres", "2d", "3d_lowres")
    good &= compare(program, folder, "three", golden.make(folder, DATASET, case, members), "--configuration", ",".join(members))
    members, folds = ("2d", "3d_lowres"), dict.fromkeys(golden.FOLDS, (0,))
    chosen, _ = golden.information(members, (0,))
    chosen["best_model_or_ensemble"]["postprocessing_file"] = None
    (folder / DATASET / "inference_information.json").write_text(json.dumps(chosen))
    return good & compare(program, folder, "chosen", golden.make(folder, DATASET, case, members, folds))


def main():
    program, names = sys.argv[1], sys.argv[2:] or list(cascade.CASES)
    good = True
    for i, name in enumerate(names):
        for sure in (False, True):
            with tempfile.TemporaryDirectory() as tmp:
                folder = pathlib.Path(tmp) / (name + " (sure)" * sure)
                folder.mkdir()
                good &= check(program, folder, name, 61 + i, sure)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
