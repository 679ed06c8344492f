"""Write a tiny random package with its input and torch's exact logits, for the engine's parity test."""

import argparse
import hashlib
import json
import pathlib

import numpy as np
import torch

import net as netlib


def main():
    ap = argparse.ArgumentParser(description=__doc__)
    ap.add_argument("folder", type=pathlib.Path, help="where the package goes, e.g. tests/golden/unet_tiny")
    ap.add_argument("--seed", type=int, default=7)
    args = ap.parse_args()
    args.folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(args.seed)
    arch = netlib.architecture(5, [4, 8, 12], [1, 2, 2], [2, 1], [[1, 1, 1], [2, 2, 2], [1, 2, 2]])
    net = netlib.PlainConvUNet(arch).eval()
    with torch.no_grad():
        for name, p in net.named_parameters():
            if name.endswith("bias"):
                p.normal_(0, 0.3)
            elif ".norm." in name:
                p.uniform_(0.5, 1.5)
    shape = (8, 12, 16)
    x = torch.randn(1, 1, *shape)
    with torch.no_grad():
        logits = net(x)
    state = netlib.export_state(net)
    netlib.save_safetensors(args.folder / "weights.safetensors", state)
    x.numpy().astype("<f4").tofile(args.folder / "input.bin")
    logits.numpy().astype("<f4").tofile(args.folder / "logits.bin")
    names = ["one", "two", "three_pair", "four"]
    labels = [
        {"value": i + 1, "name": n, "members": [n], "split_left_right": False} for i, n in enumerate(names)
    ]
    labels[2].update(split_left_right=True, left_name="three_left", right_name="three_right")
    card = {
        "format": "fabrica-model",
        "format_version": 1,
        "name": "unet-tiny",
        "version": "1.0.0",
        "modality": "CT",
        "license": "Apache-2.0",
        "weights": {
            "file": "weights.safetensors",
            "sha256": hashlib.sha256((args.folder / "weights.safetensors").read_bytes()).hexdigest(),
        },
        "architecture": arch,
        "preprocessing": {
            "orientation": "LPS",
            "spacing_mm": [4.0, 4.0, 4.0],
            "resampling": "fabrica-gauss-linear-1",
            "normalization": {"type": "ct", "clip_hu": [-1024.0, 1500.0], "mean": -50.0, "std": 300.0},
            "padding_value_hu": -1024.0,
        },
        "inference": {
            "patch_size": list(shape),
            "step": 0.5,
            "gaussian_sigma_scale": 0.125,
            "mirror_axes": [],
        },
        "labels": labels,
        "training": {"note": "random weights: for parity tests only"},
        "evaluation": [],
        "limitations": ["random weights: segments nothing"],
        "golden": {
            "input": {"file": "input.bin", "shape": [1, *shape]},
            "logits": {"file": "logits.bin", "shape": [arch["classes"], *shape]},
        },
    }
    (args.folder / "model.json").write_text(json.dumps(card, indent=1) + "\n")
    total = sum(f.stat().st_size for f in args.folder.iterdir())
    print(f"{args.folder}: {total} bytes, {sum(np.size(v) for v in state.values())} parameters")


if __name__ == "__main__":
    main()
