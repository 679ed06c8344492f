"""Write small arrays and what nnU-Net's resampling (scikit-image's resize, here scipy's zoom and a clip), window starts,
Gaussian, numpy's moments and fp16 make of them, for tests/unit/nnunet/test_small_golden.c."""

import argparse
import pathlib
import struct

import numpy as np
from scipy.ndimage import gaussian_filter, map_coordinates, zoom

# order, order_z, separate axis or -1, size, new size
RESAMPLINGS = [
    (3, 0, -1, (13, 17, 11), (9, 10, 7)),
    (3, 0, -1, (6, 7, 5), (13, 12, 11)),
    (3, 0, -1, (5, 6, 7), (10, 12, 14)),
    (3, 0, -1, (8, 9, 10), (8, 5, 13)),
    (3, 0, -1, (1, 6, 5), (3, 4, 8)),
    (3, 0, -1, (3, 20, 37), (4, 33, 19)),
    (1, 0, -1, (7, 9, 8), (12, 4, 17)),
    (0, 0, -1, (7, 9, 8), (12, 4, 16)),
    (3, 0, 0, (6, 12, 13), (15, 9, 14)),
    (3, 0, 0, (6, 12, 13), (6, 9, 14)),
    (3, 0, 2, (10, 11, 8), (7, 15, 4)),
    (3, 0, 1, (10, 5, 18), (7, 11, 18)),
    (3, 1, 0, (5, 9, 10), (12, 6, 7)),
    (3, 3, 0, (5, 9, 10), (12, 6, 7)),
    (1, 0, 0, (4, 9, 10), (2, 13, 6)),
]
WINDOWS = [(64, 64, 0.5), (65, 64, 0.5), (101, 48, 0.5), (122, 48, 0.5), (10, 8, 0.5), (232, 96, 0.5), (37, 32, 0.5),
           (300, 128, 0.8), (273, 128, 0.8), (131, 1, 1.0), (9, 4, 0.5), (11, 4, 0.625)]
COUNTS = [1, 5, 100, 129, 1000, 8192, 8193, 20000, 100003, 3000000]
PATCHES = [(8, 20, 24), (5, 1, 33), (16, 7, 40)]


def resize(a, shape, order):
    """skimage.transform.resize(a, shape, order, mode="edge", anti_aliasing=False) of a float64 array."""
    factors = np.divide(a.shape, shape)
    out = zoom(a, [1 / f for f in factors], order=order, mode="nearest", grid_mode=True)
    assert out.shape == tuple(shape)
    return np.clip(out, a.min(), a.max())


def resample(a, shape, axis, order, order_z):
    a = a.astype(np.float64)
    if axis < 0:
        return resize(a, shape, order)
    plane = [n for i, n in enumerate(shape) if i != axis]
    slices = np.stack([resize(s, plane, order) for s in np.moveaxis(a, axis, 0)], axis)
    if a.shape[axis] == shape[axis]:
        return slices
    grid = np.mgrid[tuple(slice(n) for n in shape)].astype(float)
    for i in range(3):
        scale = float(slices.shape[i]) / shape[i]
        grid[i] = scale * (grid[i] + 0.5) - 0.5
    return map_coordinates(slices, grid, order=order_z, mode="nearest")


def window_starts(size, patch, step):
    count = int(np.ceil((size - patch) / (patch * step))) + 1
    actual = (size - patch) / (count - 1) if count > 1 else 0
    return [int(np.round(actual * i)) for i in range(count)]


def gaussian(patch):
    a = np.zeros(patch)
    a[tuple(n // 2 for n in patch)] = 1
    g = gaussian_filter(a, [n / 8 for n in patch], 0, mode="constant", cval=0)
    g /= g.max() / 10
    g = g.astype(np.float32).astype(np.float16)
    g[g == 0] = g[g != 0].min()
    return g


def fp16_inputs(rng):
    halves = np.arange(0, 0x7C00, 37, dtype=np.uint16).view(np.float16).astype(np.float64)
    ties = halves + np.diff(halves, append=65536.0) / 2
    v = np.concatenate([halves, ties, ties * (1 + 1e-9), ties * (1 - 1e-9), np.abs(rng.standard_normal(500)) * 1e-6,
                        [65504, 65519.99, 65520, 1e30, np.inf, 2.0**-25, 2.0**-25 * (1 + 1e-7), 2.0**-24, 2.0**-149, 0]])
    return np.concatenate([v, -v])


def moments(count):
    v = (np.arange(count) * 7919 % 4096).astype(np.float32) * np.float32(0.37)
    return v.mean(), v.std()


def main():
    ap = argparse.ArgumentParser(description=__doc__)
    ap.add_argument("folder", type=pathlib.Path, help="where the arrays go: tests/golden/nnunet")
    folder = ap.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(82)
    with open(folder / "resample.bin", "wb") as f:
        f.write(struct.pack("<i", len(RESAMPLINGS)))
        for order, order_z, axis, size, new in RESAMPLINGS:
            a = (rng.standard_normal(size) * 100).astype(np.float32)
            f.write(struct.pack("<9i", order, order_z, axis, *size, *new))
            f.write(a.tobytes() + resample(a, new, axis, order, order_z).astype(np.float32).tobytes())
    with open(folder / "windows.bin", "wb") as f:
        f.write(struct.pack("<i", len(WINDOWS)))
        for size, patch, step in WINDOWS:
            starts = window_starts(size, patch, step)
            f.write(struct.pack("<iidi%di" % len(starts), size, patch, step, len(starts), *starts))
    with open(folder / "gaussian.bin", "wb") as f:
        f.write(struct.pack("<i", len(PATCHES)))
        for patch in PATCHES:
            f.write(struct.pack("<3i", *patch) + gaussian(patch).tobytes())
    with open(folder / "moments.bin", "wb") as f:
        f.write(struct.pack("<i", len(COUNTS)))
        for count in COUNTS:
            f.write(struct.pack("<iff", count, *moments(count)))
    v = fp16_inputs(rng)
    with np.errstate(over="ignore"), open(folder / "fp16.bin", "wb") as f:
        f.write(struct.pack("<i", len(v)) + v.tobytes() + v.astype(np.float16).tobytes())
        f.write(v.astype(np.float32).tobytes() + v.astype(np.float32).astype(np.float16).tobytes())


if __name__ == "__main__":
    main()
