"""One round of self-training: blocks of the unlabelled real scans, labelled by a checkpoint where it is sure.

What Hounsfield values say for certain (air outside, lung, fat is no organ, organs are neither fat
nor bone) corrects the network's opinion; what stays doubtful is IGNORE and teaches nothing.
"""

import argparse
import os
import pathlib
import sys

from train import MALLOC

if __name__ == "__main__" and "MALLOC_MMAP_MAX_" not in os.environ:
    os.execve(sys.executable, [sys.executable, *sys.argv], {**os.environ, **MALLOC})

import numpy as np  # noqa: E402
import scipy.ndimage as nd  # noqa: E402
import torch  # noqa: E402

import classes  # noqa: E402
import evaluate  # noqa: E402
import volumes  # noqa: E402

BONES = ["vertebrae", "sacrum", "ribs_sternum", "hips", "femurs", "shoulder_girdle"]
SINGLE = ["liver", "spleen", "heart", "urinary_bladder", "sacrum", "stomach", "pancreas", "spinal_cord", "vertebrae"]
PAIRED = ["kidneys", "hips", "femurs", "lungs", "iliopsoas", "gluteal_muscles", "autochthon"]
MIN_BLOCK = (64, 72, 108)
SMALL_PARTS = 30  # voxels of the 4 mm grid


def value(name):
    return classes.NAMES.index(name)


def body_mask(hu):
    """The patient without table and air: the largest soft component per slice stack, holes filled."""
    m = nd.binary_opening(hu > -300, iterations=1)
    lab, n = nd.label(m)
    if n == 0:
        return m
    m = lab == 1 + np.argmax(np.bincount(lab.ravel())[1:])
    return np.stack([nd.binary_fill_holes(s) for s in nd.binary_closing(m, iterations=2) | m])


def lung_mask(hu, body):
    """Big air-like regions inside the body that hold lung's texture, not bowel gas."""
    air = body & (hu < -500)
    lab, n = nd.label(nd.binary_opening(air))
    out = np.zeros_like(body)
    for i, size in enumerate(np.bincount(lab.ravel())[1:], 1):
        if size > 400000 / 64 and -920 < np.median(hu[lab == i]) < -600:
            out |= lab == i
    return nd.binary_closing(out, iterations=1) & (hu < -300)


def keep_parts(label, name, count):
    """All but the `count` largest parts of a structure become doubtful."""
    m = label == value(name)
    lab, n = nd.label(m)
    if n <= count:
        return
    sizes = np.bincount(lab.ravel())
    sizes[0] = 0
    good = np.argsort(-sizes)[:count]
    label[m & ~np.isin(lab, good)] = classes.IGNORE


def correct(prob, hu, sure):
    """Labels of one real scan from class probabilities and Hounsfield rules."""
    label = prob.argmax(0).astype(np.uint8)
    label[prob.max(0) < sure] = classes.IGNORE
    body = body_mask(hu)
    organs = [value(n) for n in classes.NAMES[1:-1] if n not in BONES + ["lungs", "bowel", "stomach", "soft_tissue"]]
    fat = body & (hu < -40) & (hu > -200)
    label[np.isin(label, organs) & (fat | (hu < -200))] = classes.IGNORE
    bones = [value(n) for n in BONES]
    label[np.isin(label, bones) & (hu < 20)] = classes.IGNORE
    label[(label == value("vertebrae")) & (hu < 110)] = classes.IGNORE  # a disc, or thin bone
    notbone = [value(n) for n in ("liver", "spleen", "autochthon", "gluteal_muscles", "iliopsoas", "spinal_cord")]
    label[np.isin(label, notbone) & (hu > 220)] = classes.IGNORE
    for name in SINGLE:
        keep_parts(label, name, 1)
    for name in PAIRED:
        keep_parts(label, name, 2)
    lung = lung_mask(hu, body)
    label[(label == value("lungs")) & ~lung] = classes.IGNORE
    label[lung] = value("lungs")
    core = nd.binary_erosion(fat) & (hu < -70)
    label[core] = classes.SOFT
    bone = body & (hu > 250)
    soft_or_fat = (label == classes.SOFT) & bone
    label[soft_or_fat] = classes.IGNORE
    label[~body] = 0
    edge = nd.binary_dilation(body) ^ nd.binary_erosion(body)
    label[edge & (label != classes.SOFT) & (label != 0)] = classes.IGNORE
    return label


def main():
    ap = argparse.ArgumentParser(description=__doc__)
    ap.add_argument("checkpoint", type=pathlib.Path)
    ap.add_argument("--data", type=pathlib.Path, default=pathlib.Path("../shared/data"))
    ap.add_argument("--pool", type=pathlib.Path, required=True)
    ap.add_argument("--png", type=pathlib.Path)
    ap.add_argument("--sure", type=float, default=0.6)
    ap.add_argument("--zooms", default="1.0", help="the scans again, as larger and smaller patients")
    a = ap.parse_args()
    torch.set_num_threads(1)
    net = evaluate.load_net(a.checkpoint)
    a.pool.mkdir(parents=True, exist_ok=True)
    k = 0
    for path in sorted((a.data / "ct_unlabelled").glob("*.nii.gz")):
        hu, spacing = volumes.read_lps(path)
        logits, small = evaluate.predict(net, hu, spacing)
        prob = torch.from_numpy(logits).softmax(0).numpy()
        for zoom in [float(z) for z in a.zooms.split(",")]:
            target = [4.0 / zoom] * 3
            img = volumes.resample_image(hu, spacing, target)
            mats = [
                volumes.axis_matrix(prob.shape[1 + i], evaluate.SPACING[i], img.shape[i], target[i], False)
                for i in range(3)
            ]
            p = np.stack([volumes.separable(c, mats) for c in prob])
            label = correct(p, img, a.sure)
            box = np.argwhere(label != 0)
            lo = np.maximum(box.min(0) - 6, 0)
            hi = box.max(0) + 7
            sl = tuple(slice(i, j) for i, j in zip(lo, hi))
            img, label = img[sl], label[sl]
            pad = [(max(0, m - n) // 2, max(0, m - n) - max(0, m - n) // 2) for m, n in zip(MIN_BLOCK, img.shape)]
            img = np.pad(img, pad, constant_values=-1024)
            label = np.pad(label, pad)
            tmp = a.pool / "next.tmp.npz"
            np.savez(tmp, img=np.round(np.clip(img, -1024, 3000)).astype(np.int16), cls=label, map=path.name)
            os.replace(tmp, a.pool / f"b{k:04d}.npz")
            k += 1
        if a.png:
            a.png.mkdir(parents=True, exist_ok=True)
            evaluate.picture(a.png / (path.name.split(".")[0] + ".png"), img, [4.0] * 3, label, None)
        counts = np.bincount(label.ravel(), minlength=256)
        print(path.name, {classes.NAMES[i]: int(c) for i, c in enumerate(counts[: classes.COUNT]) if c},
              "ignored", int(counts[classes.IGNORE]), flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
