"""Chains of dilated convolutions against PyTorch: a random TensorFlow.js model made here, and brainchop's
published MeshNets on a T1 brain where that data is at hand (a part of it; --whole NETWORK for all of it).
Usage: meshnet.py SEQUENTIAL_CLI [--whole NETWORK [FOLDER]]

What brainchop does before its networks is restated here. The volume must be conformed (256^3, 1 mm, LIA, bytes: the
data at hand is). The network's axes are (x, y, z) of the file, x slowest. Values are scaled to 0..1: from the 2 % to
the 98 % quantile, with 1e-3 added to the width, and clipped (its command line's way), or from 5 % to 95 % without
clipping where the model's _comment asks for that."""

import gzip
import json
import os
import pathlib
import struct
import subprocess
import sys
import tempfile

import numpy as np
import torch

ROOT = pathlib.Path(os.environ["FAB_SOURCE_ROOT"])
DATA = pathlib.Path(os.environ.get("FAB_SHARED_DATA", ROOT / "../shared/data")) / "weights/brainchop"
sys.path.insert(0, str(ROOT / "train"))
import golden_sequential as golden  # noqa: E402
import net as netlib  # noqa: E402

LIMIT = 1e-5
NETWORKS = ["model5_gw_ae", "model20chan3cls", "model18cls", "model30chan18cls", "model30chan50cls", "model21_104class"]


def meshnet_layers(spec, state):
    out = []
    for i, layer in enumerate(spec["layers"]):
        act = "elu" if spec.get("elu") else "relu"
        weight, bias = (torch.from_numpy(state[f"model.{2 * i}.{k}"].copy()) for k in ("weight", "bias"))
        last = i + 1 == len(spec["layers"])
        out.append([weight, bias, [layer["dilation"]] * 3, None, "linear" if last else act])
    return out


def ours(cli, kind, model, weights, x, folder, logits=True):
    np.ascontiguousarray(x, "<f4").tofile(folder / "in.bin")
    out = [folder / "labels.bin", folder / "logits.bin" if logits else "-"]
    args = [cli, kind, model, weights, folder / "in.bin", *out]
    subprocess.run([str(a) for a in (*args, *x.shape[1:])], check=True)
    labels = np.fromfile(folder / "labels.bin", "u1").reshape(x.shape[1:])
    return labels, np.fromfile(folder / "logits.bin", "<f4").reshape(-1, *x.shape[1:]) if logits else None


def compare(name, labels, logits, expected):
    rms = np.sqrt(((logits - expected).astype(float) ** 2).mean() / (expected.astype(float) ** 2).mean())
    other = int((labels != expected.argmax(0)).sum())
    print(f"{name}: relative RMS {rms:.3g}, {other} of {labels.size} labels differ", flush=True)
    return rms <= LIMIT and other <= labels.size * 1e-5


def t1():
    """The conformed T1 volume, (x, y, z) of the file."""
    raw = gzip.open(DATA / "t1_crop.nii.gz").read()
    (offset,) = struct.unpack("<f", raw[108:112])
    assert struct.unpack("<4h", raw[40:48]) == (3, 256, 256, 256) and struct.unpack("<h", raw[70:72]) == (2,)
    return np.frombuffer(raw, "u1", 256**3, int(offset)).reshape(256, 256, 256).transpose(2, 1, 0)


def normalised(volume, spec):
    if "5% quantile" in spec.get("_comment", ""):
        low, high = np.quantile(volume, [0.05, 0.95])
        return ((volume - low) / (high - low)).astype("f4")
    low, high = np.quantile(volume, [0.02, 0.98])
    return np.clip((volume - low) / (high - low + 1e-3), 0, 1).astype("f4")


def network(name):
    spec = json.loads((DATA / name / "model.json").read_text())
    if "weightsManifest" in spec:
        path = DATA / name / "model.bin"
        return "tfjs", spec, path, golden.tfjs_layers(spec, np.fromfile(path, "<f4"))
    path = DATA / name / "model.pth"  # safetensors, whatever its name says
    return "meshnet", spec, path, meshnet_layers(spec, netlib.load_safetensors(path))


def published(cli, folder, name, volume, part):
    kind, spec, path, layers = network(name)
    x = normalised(volume, spec)[part][None]
    labels, logits = ours(cli, kind, DATA / name / "model.json", path, x, folder)
    return compare(name, labels, logits, golden.run(layers, x))


def whole(cli, name, folder):
    kind, spec, path, layers = network(name)
    x = normalised(t1(), spec)[None]
    few = layers[-1][0].shape[0] <= 3
    labels, logits = ours(cli, kind, DATA / name / "model.json", path, x, folder, few)
    np.save(folder / f"{name}.npy", labels)
    values, counts = np.unique(labels, return_counts=True)
    names = json.loads((DATA / name / "colormap.json").read_text())["labels"]
    for v, n in zip(values, counts):
        print(f"  {v:3d} {names[v] if v < len(names) else '?'}: {n / 1000:.1f} ml")
    if few:
        return compare(name + ", whole volume", labels, logits, golden.run(layers, x))
    return True


def main():
    cli, ok = sys.argv[1], True
    if sys.argv[2:3] == ["--whole"]:
        return 0 if whole(cli, sys.argv[3], pathlib.Path(sys.argv[4] if len(sys.argv) > 4 else ".")) else 1
    with tempfile.TemporaryDirectory() as tmp:
        folder = pathlib.Path(tmp)
        spec, data, x = golden.random_model((20, 24, 28))
        (folder / "random.json").write_text(json.dumps(spec))
        data.tofile(folder / "random.bin")
        labels, logits = ours(cli, "tfjs", folder / "random.json", folder / "random.bin", x, folder)
        ok &= compare("random", labels, logits, golden.run(golden.tfjs_layers(spec, data), x))
        if not DATA.is_dir():
            print("brainchop's networks: skipped, the data is not here")
        else:
            volume, part = t1(), np.s_[100:148, 96:152, 90:154]
            for name in NETWORKS:
                ok &= published(cli, folder, name, volume, part)
    return 0 if ok else 1


if __name__ == "__main__":
    sys.exit(main())
