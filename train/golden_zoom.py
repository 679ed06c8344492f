#!/usr/bin/python3
"""Writes tests/golden/zoom: what scipy.ndimage.zoom makes of small arrays (TotalSegmentator's resampling).

Each case is one file: int32 n[3], m[3], order, then float32 input and float64 output, all little-endian.
"""
import pathlib

import numpy as np
from scipy import ndimage

out = pathlib.Path(__file__).resolve().parent.parent / "tests/golden/zoom"
rng = np.random.RandomState(3)
cases = [((5, 9, 7), (8, 6, 11), 3), ((5, 9, 7), (8, 6, 11), 1), ((5, 9, 7), (8, 6, 11), 0),
         ((1, 12, 3), (1, 30, 2), 3), ((6, 2, 40), (3, 4, 27), 3), ((4, 4, 4), (4, 4, 4), 3)]
out.mkdir(parents=True, exist_ok=True)
for i, (n, m, order) in enumerate(cases):
    a = (rng.randn(*n) * 400).astype(np.float32)
    zoomed = ndimage.zoom(a.astype(np.float64), [q / p for p, q in zip(n, m)], order=order)
    assert zoomed.shape == m, zoomed.shape
    with open(out / f"zoom{i}.bin", "wb") as f:
        f.write(np.array([*n, *m, order], "<i4").tobytes() + a.tobytes() + zoomed.astype("<f8").tobytes())
