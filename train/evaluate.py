"""Run a checkpoint or package as the engine does (sliding window) and score it on labelled scans.

    evaluate.py CHECKPOINT|PACKAGE [--data FOLDER] [--json OUT] [--png FOLDER] [--cases example,verse006]
"""

import argparse
import json
import os
import pathlib
import sys

from train import MALLOC, PATCH as WINDOW

if __name__ == "__main__" and "MALLOC_MMAP_MAX_" not in os.environ:
    os.execve(sys.executable, [sys.executable, *sys.argv], {**os.environ, **MALLOC})

import numpy as np  # noqa: E402
import scipy.ndimage as nd  # noqa: E402
import torch  # noqa: E402

import classes  # noqa: E402
import net as netlib  # noqa: E402
import volumes  # noqa: E402
from normalize import normalize  # noqa: E402

SPACING = [4.0, 4.0, 4.0]
PATCH = list(WINDOW)  # main() may change it
PAD_HU = -1024.0


def load_net(path):
    if path.is_dir():
        return netlib.load_package(path)[1]
    state = torch.load(path)
    net = netlib.PlainConvUNet(state["arch"])
    net.load_state_dict(state["ema"], strict=False)
    return net.eval()


def gaussian(size, scale=0.125):
    axes = [np.exp(-0.5 * ((np.arange(n) - n // 2) / (n * scale)) ** 2) for n in size]
    g = axes[0][:, None, None] * axes[1][None, :, None] * axes[2][None, None]
    return g.astype(np.float32)


def starts(n, p, step=0.5):
    k = max(1, int(np.ceil((n - p) / (p * step))) + 1)
    return [0] if k == 1 else [int(np.round(i * (n - p) / (k - 1))) for i in range(k)]


def fill_enclosed(logits):
    """The card's "outside_reaches_edge": class 0 comes last where other classes enclose it in an axial plane."""
    for z in range(logits.shape[1]):
        parts, _ = nd.label(logits[:, z].argmax(0) == 0)
        edge = np.unique(np.concatenate([parts[0], parts[-1], parts[:, 0], parts[:, -1]]))
        inside = (parts > 0) & ~np.isin(parts, edge)
        logits[0, z][inside] = logits[1:, z, inside].min(0)
    return logits


def predict(net, hu, spacing, step=0.5):
    """Logits on the 4 mm grid of a volume in LPS order, class 0 never enclosed by others."""
    small = volumes.resample_image(hu, spacing, SPACING)
    pad = [max(0, p - n) for p, n in zip(PATCH, small.shape)]
    low = [d // 2 for d in pad]
    full = np.pad(small, [(a, d - a) for a, d in zip(low, pad)], constant_values=PAD_HU)
    x = normalize(torch.from_numpy(full))
    g = torch.from_numpy(gaussian(PATCH))
    acc = torch.zeros(classes.COUNT, *full.shape)
    weight = torch.zeros(full.shape)
    where = [
        tuple(slice(o, o + p) for o, p in zip((z, y, xx), PATCH))
        for z in starts(full.shape[0], PATCH[0], step)
        for y in starts(full.shape[1], PATCH[1], step)
        for xx in starts(full.shape[2], PATCH[2], step)
    ]
    with torch.no_grad():
        for i in range(0, len(where), 2):  # two at a time: see train.py
            part = where[i : i + 2]
            batch = torch.stack([x[w] for w in part])[:, None]
            if len(part) == 1:
                batch = batch.repeat(2, 1, 1, 1, 1)
            out = net(batch)
            for w, o in zip(part, out):
                acc[(slice(None), *w)] += o * g
                weight[w] += g
    inside = tuple(slice(a, a + n) for a, n in zip(low, small.shape))
    return fill_enclosed((acc / weight)[(slice(None), *inside)].numpy()), small


def example(data):
    """(HU, spacing, classes): v1 full-resolution labels; cord and cartilage from the v2 fast run."""
    folder = data / "labelled/totalsegmentator_example"
    hu, spacing = volumes.read_lps(folder / "example_ct.nii.gz")
    v1, _ = volumes.read_lps(folder / "example_seg_full_v1_104cls_7fcc5698.nii.gz")
    v2, _ = volumes.read_lps(folder / "example_seg_fast_force_split.nii.gz")
    ref = np.zeros(v1.shape, np.uint8)
    names = classes.v2_names(data)
    for v, n in names.items():
        if n in ("spinal_cord", "costal_cartilages"):
            ref[v2 == v] = classes.class_of(n)
    for lo, hi, name in classes.V1_RANGES:
        ref[(v1 >= lo) & (v1 <= hi)] = classes.NAMES.index(name)
    return hu, spacing, ref


def verse(data, number):
    folder = data / "labelled/verse"
    hu, spacing = volumes.read_lps(folder / f"sub-verse{number}_ct.nii.gz")
    mask, _ = volumes.read_lps(folder / f"sub-verse{number}_seg-vert_msk.nii.gz")
    return hu, spacing, (mask > 0).astype(np.uint8)


CASES = {
    "example": example,
    "verse006": lambda d: verse(d, "006"),
    "verse007": lambda d: verse(d, "007"),
}


def dice(a, b):
    n = a.sum() + b.sum()
    return float(2 * (a & b).sum() / n) if n else float("nan")


def score(name, pred, ref):
    out = {}
    for v in [1] if name.startswith("verse") else range(1, classes.SOFT):
        if (ref == v).sum() >= 50:
            out[classes.NAMES[v]] = round(dice(pred == v, ref == v), 4)
    if name == "example":
        v = [classes.NAMES.index(n) for n in ("autochthon", "gluteal_muscles", "iliopsoas")]
        out["muscles"] = round(dice(np.isin(pred, v), np.isin(ref, v)), 4)
    return out


def palette():
    pal = np.random.RandomState(3).rand(256, 3)
    pal[0], pal[classes.SOFT] = 0, 0.25
    return pal


def picture(path, hu, spacing, pred, ref):
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    maps = [m for m in (None, pred, ref) if m is None or m is not None]
    if ref is None:
        maps = maps[:2]
    n = hu.shape
    cuts = [(0, int(n[0] * k)) for k in (0.15, 0.35, 0.55, 0.75, 0.92)]
    cuts += [(1, int(n[1] * 0.5)), (1, int(n[1] * 0.68)), (2, int(n[2] * 0.5)), (2, int(n[2] * 0.3))]
    fig, ax = plt.subplots(len(maps), len(cuts), figsize=(4 * len(cuts), 4 * len(maps)), squeeze=False)
    pal = palette()
    for c, (axis, k) in enumerate(cuts):
        rest = [spacing[a] for a in range(3) if a != axis]
        for r, m in enumerate(maps):
            s = np.take(hu if m is None else m, k, axis)
            s = s if axis == 0 else s[::-1]
            if m is None:
                ax[r, c].imshow(s, vmin=-200, vmax=300, cmap="gray", aspect=rest[0] / rest[1])
            else:
                ax[r, c].imshow(pal[s], aspect=rest[0] / rest[1], interpolation="nearest")
            ax[r, c].axis("off")
    plt.tight_layout()
    plt.savefig(path, dpi=30)
    plt.close(fig)


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("model", type=pathlib.Path)
    ap.add_argument("--data", type=pathlib.Path, default=pathlib.Path("../shared/data"))
    ap.add_argument("--cases", default=",".join(CASES))
    ap.add_argument("--volumes", nargs="*", default=[], type=pathlib.Path, help="unlabelled NIfTI to look at")
    ap.add_argument("--step", type=float, default=0.5)
    ap.add_argument("--patch", help="window in voxels z,y,x instead of the package's")
    ap.add_argument("--threads", type=int, default=1)
    ap.add_argument("--json", type=pathlib.Path)
    ap.add_argument("--png", type=pathlib.Path)
    a = ap.parse_args()
    torch.set_num_threads(a.threads)
    if a.patch:
        PATCH[:] = [int(p) for p in a.patch.split(",")]
    net = load_net(a.model)
    result = {}
    for name in [c for c in a.cases.split(",") if c]:
        hu, spacing, ref = CASES[name](a.data)
        logits, _ = predict(net, hu, spacing, a.step)
        pred = volumes.logits_to_native(logits, SPACING, hu.shape, spacing)
        result[name] = score(name, pred, ref)
        print(name, json.dumps(result[name]), flush=True)
        if a.png:
            a.png.mkdir(parents=True, exist_ok=True)
            picture(a.png / f"{name}.png", hu, spacing, pred, ref)
    for path in a.volumes:
        hu, spacing = volumes.read_lps(path)
        logits, small = predict(net, hu, spacing, a.step)
        a.png.mkdir(parents=True, exist_ok=True)
        picture(a.png / (path.name.split(".")[0] + ".png"), small, SPACING, logits.argmax(0), None)
    if a.json:
        a.json.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
