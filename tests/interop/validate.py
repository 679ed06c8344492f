"""fabrica validate against numpy and scipy: every structure of a phantom's case whose truth is pushed
aside, turned and thinned. Usage: validate.py FABRICA"""

import gzip
import json
import struct
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from evaluate import measure

TOLERANCE = 2.5


def read(path):
    raw = gzip.decompress(path.read_bytes())
    size = struct.unpack_from("<8h", raw, 40)[1:4]
    spacing = struct.unpack_from("<8f", raw, 76)[1:4]
    kind = {2: np.uint8, 512: np.uint16}[struct.unpack_from("<h", raw, 70)[0]]
    start = int(struct.unpack_from("<f", raw, 108)[0])
    return np.frombuffer(raw, kind, offset=start).reshape(size, order="F").copy(), spacing, raw[:start], start


def write(path, head, values):
    path.write_bytes(gzip.compress(head + values.tobytes(order="F"), 1, mtime=0))


def spoil(labels, rng):
    """Shifts some structures, drops one, speckles the rest."""
    out = np.zeros_like(labels)
    names = np.unique(labels[labels > 0])
    for n, value in enumerate(names):
        mask = labels == value
        if n % 3 == 0:
            mask = np.roll(mask, (1, -1, 2)[n % 2 :][0], axis=n % 2)
        elif n % 3 == 1:
            mask &= rng.random(mask.shape) < 0.9
        out[mask & (out == 0)] = value
    out[out == names[2]] = 0
    return out


def boxed(a, b):
    """Both cut to the box around them: beyond it neither has a voxel."""
    places = np.nonzero(a | b)
    box = tuple(slice(p.min(), p.max() + 1) for p in places)
    return a[box], b[box]


def check(name, row, truth, predicted, spacing):
    truth, predicted = boxed(truth, predicted)
    expected = measure(truth, predicted, spacing, TOLERANCE)
    voxel = measure(truth, predicted, spacing, max(spacing))
    pairs = [(row["dice"], expected["dice"], 1e-6), (row["hd95_mm"], expected["hd95"], 1e-3),
             (row["assd_mm"], expected["assd"], 1e-3), (row["nsd"], expected["nsd"], 1e-5),
             (row["nsd_voxel"], voxel["nsd"], 1e-5)]
    for got, want, within in pairs:
        assert abs(got - want) <= within * max(1, abs(want)), (name, row, expected, voxel)


def main():
    fabrica = sys.argv[1]
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)

        def run(*args):
            subprocess.run([fabrica, *map(str, args)], check=True, stdout=subprocess.DEVNULL)

        run("phantom", "-q", "--spacing", "8,8,6", "--range", "20,140", "--seed", "5", "-o", root / "p")
        truth, spacing, head, _ = read(root / "p/truth/labels.nii.gz")
        spoiled = spoil(truth, np.random.default_rng(3))
        (root / "pred").mkdir()
        write(root / "pred/one.nii.gz", head, spoiled)
        table = json.loads((root / "p/truth/labels.json").read_text())
        (root / "pred/labels.json").write_text(json.dumps(table))
        (root / "dataset.json").write_text(json.dumps(
            {"format": "fabrica-dataset", "format_version": 1, "name": "phantom",
             "cases": [{"name": "one", "image": "p/dicom", "labels": "p/truth/labels.nii.gz"}]}))
        run("validate", root, "--predictions", root / "pred", "-o", root / "d", "--tolerance", TOLERANCE)
        rows = {r["name"]: r for r in json.loads((root / "d/dossier.json").read_text())["cases"][0]["structures"]}
        compared = missed = 0
        for label in table["labels"]:
            row, a, b = rows[label["name"]], truth == label["value"], spoiled == label["value"]
            if not a.any():
                assert row["state"] in ("absent", "false-positive"), row
            elif not b.any():
                assert row["dice"] == 0 and row["hd95_mm"] is None, row
                missed += 1
            else:
                check(label["name"], row, a, b, spacing)
                compared += 1
        assert compared > 15 and 1 <= missed <= 3, (compared, missed)
        print(compared, "structures agree with scipy;", missed, "missed")


if __name__ == "__main__":
    main()
