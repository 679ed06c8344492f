"""Reading volumes into LPS (z, y, x) order and the resampling the card documents."""

import nibabel as nib
import numpy as np
import torch
from torch.nn import functional as F


def read_lps(path):
    """(array z,y,x with x to patient Left, y to Posterior, z to Superior; spacing z,y,x in mm)."""
    img = nib.as_closest_canonical(nib.load(str(path)))
    arr = np.asarray(img.dataobj)[::-1, ::-1].transpose(2, 1, 0)
    spacing = np.abs(np.array(img.header.get_zooms()[:3], float))[::-1]
    return np.ascontiguousarray(arr), spacing


def target_size(n, spacing, target):
    return [max(1, int(np.ceil(n[a] * spacing[a] / target[a] - 1e-6))) for a in range(3)]


def positions(n_src, s_src, n_dst, s_dst):
    """Source index of each target voxel centre: both grids share their centre."""
    return (np.arange(n_dst) - (n_dst - 1) / 2) * (s_dst / s_src) + (n_src - 1) / 2


def axis_matrix(n_src, s_src, n_dst, s_dst, smooth):
    """Rows of weights for one axis: Gaussian prefilter (when shrinking), then linear interpolation."""
    pos = np.clip(positions(n_src, s_src, n_dst, s_dst), 0, n_src - 1)
    i0 = np.minimum(np.floor(pos).astype(int), max(n_src - 2, 0))
    w = pos - i0
    lin = np.zeros((n_dst, n_src))
    lin[np.arange(n_dst), i0] += 1 - w
    lin[np.arange(n_dst), np.minimum(i0 + 1, n_src - 1)] += w
    ratio = s_dst / s_src
    if not smooth or ratio <= 1:
        return lin
    sigma = 0.4 * np.sqrt(ratio * ratio - 1)
    radius = int(np.ceil(3 * sigma))
    t = np.arange(-radius, radius + 1)
    g = np.exp(-0.5 * (t / sigma) ** 2)
    g /= g.sum()
    pre = np.zeros((n_src, n_src))
    for k, v in zip(t, g):
        pre[np.arange(n_src), np.clip(np.arange(n_src) + k, 0, n_src - 1)] += v
    return lin @ pre


def separable(vol, mats):
    out = np.tensordot(mats[0].astype(np.float32), vol, (1, 0))
    out = np.tensordot(out, mats[1].astype(np.float32), (1, 1)).transpose(0, 2, 1)
    return np.tensordot(out, mats[2].astype(np.float32), (2, 1))


def resample_image(vol, spacing, target):
    """The card's "fabrica-gauss-linear-1": see models/README.md."""
    size = target_size(vol.shape, spacing, target)
    mats = [axis_matrix(vol.shape[a], spacing[a], size[a], target[a], True) for a in range(3)]
    return separable(vol.astype(np.float32), mats)


def resample_nearest(vol, spacing, target):
    """Labels onto the same grid resample_image makes."""
    size = target_size(vol.shape, spacing, target)
    idx = []
    for a in range(3):
        p = positions(vol.shape[a], spacing[a], size[a], target[a])
        idx.append(np.clip(np.floor(p + 0.5).astype(int), 0, vol.shape[a] - 1))
    return vol[np.ix_(*idx)]


def logits_to_native(logits, spacing_net, shape, spacing):
    """Trilinear logits on the native grid, one z slab at a time, and their argmax."""
    mats = [
        axis_matrix(logits.shape[1 + a], spacing_net[a], shape[a], spacing[a], False).astype(np.float32)
        for a in range(3)
    ]
    out = np.zeros(shape, np.uint8)
    for z in range(shape[0]):
        rows = np.nonzero(mats[0][z])[0]
        slab = np.tensordot(mats[0][z, rows], logits[:, rows], (0, 1))
        slab = mats[1] @ slab @ mats[2].T
        out[z] = slab.argmax(0)
    return out


def smooth_noise(shape, cell, rng, order2=False):
    """Unit-variance smooth random field (torch, fp32): white noise on a coarse grid, enlarged."""
    coarse = [max(2, int(round(s / cell)) + 2) for s in shape]
    g = torch.from_numpy(rng.standard_normal(coarse).astype(np.float32))[None, None]
    if order2:
        g = F.avg_pool3d(F.pad(g, (1,) * 6, mode="replicate"), 3, 1)
    f = F.interpolate(g, size=list(shape), mode="trilinear", align_corners=True)[0, 0]
    return f / (f.std() + 1e-6)
