"""Pictures of synthetic patches (written by tests/unit/synth/patch_cli) beside real scans.

    look_synth.py PICTURE.png FOLDER SEED... [--real CT.nii.gz ...] [--map]

A column a patch: three planes through the middle, and the names. Real scans are resampled to 3 mm.
"""

import argparse
import pathlib

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np

import volumes

COLOURS = np.random.default_rng(3).uniform(0.15, 1, (256, 3))
COLOURS[0] = 0
WINDOW = (-200, 400)


def planes(volume, spacing):
    z, y, x = [n // 2 for n in volume.shape[:3]]
    return [(volume[z], 1), (volume[::-1, y], spacing[0] / spacing[2]), (volume[::-1, :, x], spacing[0] / spacing[1])]


def load(path, size=None):
    volume, spacing = volumes.read_lps(path)
    if size is None:
        return volume, spacing
    image = volumes.resample_image(volume.astype(np.float32), spacing, [3.0] * 3)
    rng = np.random.default_rng(len(str(path)))
    low = [int(rng.integers(0, max(1, n - s + 1))) if a == 0 else max(0, (n - s) // 2)
           for a, (n, s) in enumerate(zip(image.shape, size))]  # fmt: skip
    return image[tuple(slice(a, a + s) for a, s in zip(low, size))], [3.0] * 3


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("picture", type=pathlib.Path)
    ap.add_argument("folder", type=pathlib.Path)
    ap.add_argument("seeds", nargs="*", type=int)
    ap.add_argument("--real", nargs="*", default=[])
    ap.add_argument("--map", action="store_true", help="the prepared map instead")
    ap.add_argument("--window", nargs=2, type=float, default=WINDOW)
    a = ap.parse_args()
    shown = []
    if a.map:
        names, spacing = load(a.folder / "map.nii.gz")
        shown.append([(COLOURS[p], r) for p, r in planes(names, spacing)])
    for seed in a.seeds:
        hu, spacing = load(a.folder / f"{seed:04d}_hu.nii.gz")
        names, _ = load(a.folder / f"{seed:04d}_fine.nii.gz")
        shown.append(planes(hu, spacing) + [(COLOURS[p], r) for p, r in planes(names, spacing)])
    for path in a.real:
        shown.append(planes(*load(path, (48, 100, 128))))
    rows = max(len(s) for s in shown)
    fig, axes = plt.subplots(rows, len(shown), figsize=(4 * len(shown), 2.6 * rows), squeeze=False)
    for column, images in enumerate(shown):
        for row in range(rows):
            axes[row, column].axis("off")
            if row < len(images):
                image, aspect = images[row]
                axes[row, column].imshow(image, cmap="gray", vmin=a.window[0], vmax=a.window[1], aspect=aspect)
    fig.tight_layout(pad=0.2)
    fig.savefig(a.picture, dpi=60)


if __name__ == "__main__":
    main()
