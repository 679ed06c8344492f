"""fab_evaluate against an independent computation: scipy's distance transform, and cell areas from scipy's
convex hulls. Usage: evaluate.py EVALUATE_CLI"""

import functools
import itertools
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from scipy import ndimage
from scipy.spatial import ConvexHull

CORNERS = list(itertools.product((0, 1), repeat=3))


def groups(corners):
    """Corners connected along edges."""
    left = set(corners)
    while left:
        group, todo = set(), [left.pop()]
        while todo:
            c = todo.pop()
            group.add(c)
            near = [d for d in left if sum(abs(a - b) for a, b in zip(c, d)) == 1]
            left.difference_update(near)
            todo += near
        yield sorted(group)


def middles(group):
    for c in group:
        for axis in range(3):
            other = tuple(1 - v if k == axis else v for k, v in enumerate(c))
            if other not in group:
                yield tuple((a + b) / 2 for a, b in zip(c, other))


def twisted(group, points):
    """Four corners in a path that leaves the plane: every second middle, and the ears, both ways."""
    ends = [c for c in group if sum(sum(abs(a - b) for a, b in zip(c, d)) == 1 for d in group) == 1]
    return len(group) == 4 and len(points) == 6 and len(ends) == 2


def loop_of(points):
    loop, left = [points[0]], set(points[1:])
    while left:
        nxt = next(p for p in sorted(left) if any(a == b and a in (0, 1) for a, b in zip(p, loop[-1])))
        loop.append(nxt)
        left.remove(nxt)
    return [np.array(p) for p in loop]


def triangle(a, b, c, s):
    return 0.5 * np.linalg.norm(np.cross((b - a) * s, (c - a) * s))


def group_area(group, s):
    points = sorted(middles(group))
    if twisted(group, points):
        p = loop_of(points)
        both = triangle(p[0], p[2], p[4], s) + triangle(p[1], p[3], p[5], s)
        return (both + sum(triangle(p[i], p[(i + 1) % 6], p[(i + 2) % 6], s) for i in range(6))) / 2
    hull = ConvexHull(np.array([*group, *points], float))
    total = 0.0
    for simplex, plane in zip(hull.simplices, hull.equations):
        if np.count_nonzero(np.abs(plane[:3]) > 1e-9) == 1:
            offset = -plane[3] / plane[:3].sum()
            if abs(offset) < 1e-9 or abs(offset - 1) < 1e-9:
                continue  # on a face of the cube
        total += triangle(*(hull.points[i] for i in simplex), s)
    return total


def areas(s):
    table = np.zeros(256)
    for code in range(256):
        inside = [c for b, c in enumerate(CORNERS) if code >> b & 1]
        if len(inside) > 4:
            inside = [c for c in CORNERS if c not in inside]
        table[code] = sum(group_area(g, s) for g in groups(inside))
    return table


@functools.lru_cache(maxsize=None)
def areas_of(s):
    return areas(np.array(s))


def codes(mask):
    padded = np.pad(mask.astype(np.uint8), 1)
    out = np.zeros([n + 1 for n in mask.shape], np.uint8)
    for b, (x, y, z) in enumerate(CORNERS):
        out |= padded[x : x + out.shape[0], y : y + out.shape[1], z : z + out.shape[2]] << b
    return out


def measure(ref, pred, s, tolerance):
    table, sides = areas_of(tuple(float(v) for v in s)), []
    code = [codes(ref), codes(pred)]
    for a, b in ((0, 1), (1, 0)):
        border = [(c != 0) & (c != 255) for c in code]
        distance = ndimage.distance_transform_edt(~border[b], sampling=s)[border[a]]
        sides.append((distance, table[code[a][border[a]]]))
    hd = []
    for distance, area in sides:
        order = np.argsort(distance, kind="stable")
        share = np.cumsum(area[order]) / area.sum()
        hd.append(distance[order][min(np.searchsorted(share, 0.95), len(order) - 1)])
    total = sum(a.sum() for _, a in sides)
    return {
        "dice": 2 * (ref & pred).sum() / (ref.sum() + pred.sum()),
        "hd95": max(hd),
        "assd": sum((d * a).sum() for d, a in sides) / total,
        "nsd": sum(a[d <= tolerance + 1e-9].sum() for d, a in sides) / total,
    }


def blob(rng, shape, smooth, level):
    return ndimage.gaussian_filter(rng.standard_normal(shape), smooth) > level


def main():
    import nibabel as nib  # validate.py takes `measure` and does without

    cli, worst = sys.argv[1], 0.0
    rng = np.random.default_rng(4)
    with tempfile.TemporaryDirectory() as folder:
        for case in range(24):
            shape = tuple(rng.integers(12, 34, 3))
            s = np.round(rng.uniform(0.5, 3, 3), 2) if case % 3 else np.ones(3)
            smooth = 0.0 if case % 4 == 0 else rng.uniform(0.7, 2.5)
            ref = blob(rng, shape, smooth, 0.02)
            pred = ref ^ (blob(rng, shape, smooth, 0.1) & (rng.random(shape) < 0.7))
            if not ref.any() or not pred.any():
                continue
            paths = []
            for name, mask in (("ref", ref), ("pred", pred)):
                path = Path(folder) / f"{name}.nii.gz"
                nib.save(nib.Nifti1Image(mask.astype(np.uint8), np.diag([*s, 1.0])), path)
                paths.append(path)
            tolerance = float(rng.uniform(0, 3))
            out = subprocess.run([cli, *paths, repr(tolerance)], check=True, capture_output=True, text=True)
            ours, theirs = json.loads(out.stdout), measure(ref, pred, s, tolerance)
            for key, value in theirs.items():
                difference = abs(ours[key] - value)
                worst = max(worst, difference)
                if difference > 2e-5:
                    sys.exit(f"case {case} {shape} {s}: {key} is {ours[key]}, scipy gives {value}")
    print(f"24 cases, largest difference {worst:.2g}")


if __name__ == "__main__":
    main()
