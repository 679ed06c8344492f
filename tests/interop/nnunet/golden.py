"""nnU-Net's own cases through the program: every one with all its channels against nnU-Net's label files, and the wide
network (118 heads) against torch with nnU-Net's fp16 sums. Skipped without golden_nnunet of the development data.
Usage: golden.py FABRICA"""

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
DATA = pathlib.Path(os.environ.get("FAB_SHARED_DATA", ROOT / "../shared/data")) / "golden_nnunet"
sys.path.insert(0, str(ROOT / "train"))
import nnunet_reference as reference  # noqa: E402

LIMIT = 2e-4  # of the voxels


def labels_of(program, folder, case, model):
    own = folder / case
    quiet = ["-q", "--progress", "none", "--models", own / "models", "--replace"]
    subprocess.run([str(a) for a in (program, "model", "add", model, "--name", case, *quiet)], check=True)
    out = own / "labels.nii.gz"
    image = DATA / case / "input/case_0000.nii.gz"
    subprocess.run([str(a) for a in (program, "segment", image, "-m", case, "-o", out, *quiet)], check=True)
    return np.asarray(nibabel.load(out).dataobj)


def compare(name, got, wanted):
    other = int((got != wanted).sum())
    print(f"{name}: {other} of {got.size} labels differ", flush=True)
    return got.shape == wanted.shape and other <= LIMIT * got.size


def small(program, folder, case):
    meta = json.loads((DATA / case / "meta.json").read_text())
    (folder / case).mkdir()
    got = labels_of(program, folder, case, DATA / case / meta["model_folder"])
    return compare(case, got, np.asarray(nibabel.load(DATA / case / "expected/label.nii.gz").dataobj))


def wide(program, folder):
    (folder / "wide").mkdir()
    subprocess.run([sys.executable, DATA / "wide/gen_wide.py", folder / "wide/model"], check=True, stdout=subprocess.DEVNULL)
    result = next((folder / "wide/model").glob("*/*__3d_fullres"))
    got = labels_of(program, folder, "wide", result).transpose(2, 1, 0)
    state = torch.load(result / "fold_0/checkpoint_final.pth", map_location="cpu")["network_weights"]
    kwargs = {"n_stages": 6, "n_conv_per_stage": [2] * 6, "n_conv_per_stage_decoder": [2] * 5,
              "strides": [[1] * 3] + [[2] * 3] * 5}
    config = {"patch_size": [64] * 3, "architecture": {"arch_kwargs": kwargs}}
    x = np.load(DATA / "wide/expected/patch_input.npz")["data"]
    with torch.no_grad():
        logits = reference.slide(state, config, (), x, 0.5)
    return compare("wide, 118 heads", got, logits.argmax(0))


def main():
    if not DATA.is_dir():
        print("skipped: golden_nnunet is not here")
        return 77
    good = True
    with tempfile.TemporaryDirectory() as tmp:
        for case in ("crop_transpose", "aniso_mr", "plain_ct", "reorient_ct"):
            good &= small(sys.argv[1], pathlib.Path(tmp), case)
        good &= wide(sys.argv[1], pathlib.Path(tmp))
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
