#!/usr/bin/python3
"""check_tilt.py DICOM_DUMP SERIES_FOLDER: gantry tilt is corrected exactly.

The corrected volume is computed a second time, directly from the files: pydicom and GDCM give the
slices, numpy the places. For every voxel of our grid: its world point, the slices before and behind
it along their common normal, and in each the bilinear value at the point's place in that slice by
its own Image Position. Our 16-bit values may differ by their rounding only.
"""
import os
import subprocess
import sys
import tempfile

try:
    import gdcm  # noqa: F401
    import numpy as np
    import pydicom
    from scipy.ndimage import map_coordinates
except ImportError as e:
    print(f"skipped: {e}")
    sys.exit(77)

AIR = -1024


def read(folder):
    slices = []
    for name in os.listdir(folder):
        ds = pydicom.dcmread(f"{folder}/{name}")
        hu = ds.pixel_array.astype(float) * float(ds.RescaleSlope) + float(ds.RescaleIntercept)
        padding = ds.get("PixelPaddingValue")
        if padding is not None:
            hu[(ds.pixel_array == padding) & (hu < AIR)] = AIR
        slices.append((np.array(ds.ImagePositionPatient, float), hu, ds))
    o = np.array(slices[0][2].ImageOrientationPatient, float)
    u, v = o[:3] / np.linalg.norm(o[:3]), o[3:]
    v = v - (u @ v) * u
    v /= np.linalg.norm(v)
    n = np.cross(u, v)
    slices.sort(key=lambda s: s[0] @ n)
    return slices, u, v, n


def in_slice(s, points, u, v):
    position, hu, ds = s
    d = points - position
    x, y = d @ u / float(ds.PixelSpacing[1]), d @ v / float(ds.PixelSpacing[0])
    inside = (x > -0.5) & (y > -0.5) & (x < ds.Columns - 0.5) & (y < ds.Rows - 0.5)
    return map_coordinates(hu, [y, x], order=1, mode="nearest"), inside


def main():
    dump, folder = sys.argv[1], sys.argv[2]
    if not os.path.isdir(folder):
        print("skipped: shared data absent")
        sys.exit(77)
    with tempfile.TemporaryDirectory() as top:
        r = subprocess.run([dump, "series", folder, f"{top}/out"], capture_output=True, text=True, check=True)
        text = r.stdout.split(None, 15)
        size = [int(t) for t in text[:3]]
        m = np.array([float(t) for t in text[3:15]]).reshape(3, 4)
        got = np.fromfile(f"{top}/out", "<f4").reshape(size[2], size[1], size[0])
    print(text[15].strip())
    columns = m[:, :3] / np.linalg.norm(m[:, :3], axis=0)
    assert text[15].startswith("corrected-tilt"), text[15]
    assert np.abs(columns.T @ columns - np.eye(3)).max() < 1e-9, "the grid is not orthogonal"
    slices, u, v, n = read(folder)
    along = np.array([s[0] @ n for s in slices])
    j, i = np.meshgrid(np.arange(size[1]), np.arange(size[0]), indexing="ij")
    worst, mixed = 0.0, 0
    for k in range(size[2]):
        points = (m[:, 0] * i[..., None] + m[:, 1] * j[..., None] + m[:, 2] * k + m[:, 3])
        here = points[0, 0] @ n
        b = int(np.clip(np.searchsorted(along, here), 1, len(slices) - 1))
        t = float(np.clip((here - along[b - 1]) / (along[b] - along[b - 1]), 0, 1))
        t = round(t) if abs(t - round(t)) < 1e-4 else t  # the plane is a slice's own
        value, inside = np.zeros(i.shape), np.ones(i.shape, bool)
        for s, w in ((slices[b - 1], 1 - t), (slices[b], t)):
            if w > 0:
                part, within = in_slice(s, points, u, v)
                value, inside = value + w * part, inside & within
        mixed += 0 < t < 1
        want = np.where(inside, value, AIR)
        worst = max(worst, float(np.abs(got[k] - want).max()))
    print(f"{size} voxels, {len(slices)} slices, {mixed} planes between slices, worst {worst:.4f} HU")
    assert worst <= 0.5 + 1e-6, worst


main()
