"""Write a checkpoint's averaged weights as a package: weights.safetensors, model.json."""

import argparse
import hashlib
import json
import pathlib
import subprocess

import torch

import classes
import net as netlib
from normalize import NORMALIZATION
from train import PATCH

SOURCES = [
    {"what": "label maps s0327, s0328 of TotalSegmentator's training data", "license": "CC BY 4.0",
     "use": "anatomy of the synthetic images"},
    {"what": "bone HU of TotalSegmentator cases 0244, 0328", "license": "CC BY 4.0",
     "use": "HU statistics of cortical and cancellous bone"},
    {"what": "28 synthetic patients of the project's phantom (seeds from 10000)", "license": "Apache-2.0",
     "use": "whole-body training blocks with complete truth"},
]  # fmt: skip
REAL = {
    "what": "four unlabelled CT volumes (ACRIN-FLT, CPTAC-PDA, Pancreas-CT, CORT)",
    "license": "CC BY / public domain",
    "use": "two rounds of self-training on the network's own sure predictions, corrected by HU rules",
}
LIMITATIONS = [
    "A first network: trained for about three hours on two shared CPU cores, on synthetic images of two patients' anatomy, a phantom and four unlabelled scans.",
    "Adults, supine, torso CT. No real scan of a child, of scoliosis or after surgery was in the training images; tumours and ascites only as painted shapes.",
    "Implants and metal were not in the training images.",
    "Left and right are not told apart by the network: a rule splits paired structures.",
    "The evaluation cases were watched during development: they are a development set, not a test set.",
    "The reference of the example CT is TotalSegmentator's output, not an expert's.",
    "Not for diagnostic use.",
]

BONY = ["ribs_sternum", "shoulder_girdle"]  # bright abdominal wall is taken for cartilage
# Structures of which a body has one (or one a side): stray parts are dropped.
ONE = ["sacrum", "hips", "femurs", "heart", "aorta", "liver", "spleen", "kidneys", "stomach", "urinary_bladder",
       "autochthon", "iliopsoas", "pancreas"]  # fmt: skip


def labels(data):
    names = list(classes.v2_names(data).values())
    out = []
    for value, (name, _, split) in enumerate(classes.CLASSES):
        if value in (0, classes.SOFT):  # what is not listed becomes background
            continue
        members = classes.members_of(value, names)
        entry = {"value": value, "name": name, "members": members, "split_left_right": split}
        if split:
            stem = classes.STEMS[name]
            entry["left_name"], entry["right_name"] = f"{stem}_left", f"{stem}_right"
        out.append(entry)
    return out


def commit():
    done = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    return done.stdout.strip()


def main():
    ap = argparse.ArgumentParser(description=__doc__)
    ap.add_argument("checkpoint", type=pathlib.Path)
    ap.add_argument("folder", type=pathlib.Path)
    ap.add_argument("--data", type=pathlib.Path, default=pathlib.Path("../shared/data"))
    ap.add_argument("--version", default="0.1.0")
    ap.add_argument("--evaluation", type=pathlib.Path, help="evaluate.py's JSON, copied into the card")
    ap.add_argument("--real", action="store_true", help="self-training was used")
    ap.add_argument("--note", default="")
    ap.add_argument("--seed", type=int, default=3)
    a = ap.parse_args()
    state = torch.load(a.checkpoint)
    net = netlib.PlainConvUNet(state["arch"])
    net.load_state_dict(state["ema"])
    a.folder.mkdir(parents=True, exist_ok=True)
    weights = a.folder / "weights.safetensors"
    netlib.save_safetensors(weights, netlib.export_state(net))
    evaluation, limits = [], list(LIMITATIONS)
    if a.evaluation:
        for case, dice in json.loads(a.evaluation.read_text()).items():
            evaluation.append({"case": case, "set": "phantom" if case.startswith("phantom") else "development", "dice": dice})
            weak = [n for n, d in dice.items() if d < 0.5]
            if weak:
                limits.append(f"Not reliable (Dice below 0.5 on {case}): {', '.join(weak)}.")
    card = {
        "format": "fabrica-model",
        "format_version": 1,
        "name": "torso-ct-first",
        "version": a.version,
        "modality": "CT",
        "license": "CC-BY-4.0",
        "weights": {"file": weights.name, "sha256": hashlib.sha256(weights.read_bytes()).hexdigest()},
        "architecture": state["arch"],
        "preprocessing": {
            "orientation": "LPS",
            "spacing_mm": [4.0] * 3,
            "resampling": "fabrica-gauss-linear-1",
            "normalization": NORMALIZATION,
            "padding_value_hu": -1024.0,
        },
        "inference": {
            "patch_size": list(PATCH),
            "step": 0.5,
            "gaussian_sigma_scale": 0.125,
            "mirror_axes": [],
        },
        "labels": labels(a.data),
        "postprocess": {
            "outside_reaches_edge": True,
            "default": {"min_component_ml": 0.5},
            "labels": {
                **{n: {"keep_components": 1} for n in ONE},
                **{n: {"needs_hu": 150, "needs_share": 0.05} for n in BONY},
            },
        },
        "training": {
            "program": "train/train.py, PyTorch 1.13, CPU, fp32",
            "iterations": state["it"],
            "batch": 2,
            "seed": a.seed,
            "commit": commit(),
            "sources": SOURCES + ([REAL] if a.real else []),
            "note": a.note,
        },
        "evaluation": evaluation,
        "limitations": limits,
    }
    (a.folder / "model.json").write_text(json.dumps(card, indent=1) + "\n")
    print(a.folder, weights.stat().st_size, "bytes")


if __name__ == "__main__":
    main()
