"""A small CT with boxes in it, as NIfTI and nothing but the standard library: what fabrica validate
measures on it is known from arithmetic. Usage: boxes.py FOLDER"""

import gzip
import json
import pathlib
import struct
import sys

SIZE, MM = (40, 36, 44), 2.0
LIVER, SPLEEN = (4, 4, 4, 10, 10, 10), (24, 20, 4, 8, 8, 8)  # low corner, edges
SPINE = [(18, 6, 6 + 7 * i, 6, 6, 5) for i in range(5)]  # from below: L5 to L1
LUMBAR = ["vertebrae_L5", "vertebrae_L4", "vertebrae_L3", "vertebrae_L2", "vertebrae_L1"]
ABOVE = ["vertebrae_L4", "vertebrae_L3", "vertebrae_L2", "vertebrae_L1", "vertebrae_T12"]


def write(path, values, code="B", size=SIZE, origin=(0, 0, 0)):
    kind, bits = {"B": (2, 8), "h": (4, 16)}[code]
    head = bytearray(352)
    struct.pack_into("<i", head, 0, 348)
    struct.pack_into("<8h", head, 40, 3, *size, 1, 1, 1, 1)
    struct.pack_into("<2h", head, 70, kind, bits)
    struct.pack_into("<8f", head, 76, 1, MM, MM, MM, 0, 0, 0, 0)
    struct.pack_into("<2f", head, 108, 352, 1)
    struct.pack_into("<h", head, 254, 1)
    for row in range(3):  # RAS
        line = [0.0, 0.0, 0.0, float(origin[row])]
        line[row] = MM
        struct.pack_into("<4f", head, 280 + 16 * row, *line)
    head[344:348] = b"n+1\0"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(bytes(head) + struct.pack(f"<{len(values)}{code}", *values), 1, mtime=0))


def fill(boxes, shift=(0, 0, 0), size=SIZE):
    values = [0] * (size[0] * size[1] * size[2])
    for value, (x, y, z, a, b, c) in boxes:
        for k in range(z + shift[2], z + shift[2] + c):
            for j in range(y + shift[1], y + shift[1] + b):
                at = size[0] * (j + size[1] * k) + x + shift[0]
                values[at : at + a] = [value] * a
    return values


def main():
    root = pathlib.Path(sys.argv[1])
    organs = [(5, LIVER), (1, SPLEEN)]
    ct = [-1000 + v for v in fill([(1040, (2, 2, 2, 36, 32, 40))] + [(1060, b) for _, b in organs] +
                                  [(1400, b) for b in SPINE])]
    # nnU-Net: the liver is predicted 2 voxels further along x; nothing of the spleen
    write(root / "nnunet/imagesTs/one_0000.nii.gz", ct, "h")
    write(root / "nnunet/imagesTs/two_0000.nii.gz", ct, "h")
    write(root / "nnunet/labelsTs/one.nii.gz", fill(organs))
    (root / "nnunet/dataset.json").write_text(json.dumps(
        {"name": "Boxes", "licence": "CC0", "channel_names": {"0": "CT"}, "file_ending": ".nii.gz",
         "labels": {"background": 0, "spleen": 1, "liver": 5, "aorta": 7}}))
    write(root / "shifted/one.nii.gz", fill([(5, LIVER)], (2, 0, 0)))
    (root / "shifted/labels.json").write_text('{"liver": 5, "spleen": 1, "aorta": 7, "heart": 9}')
    # TotalSegmentator: an empty mask says there is none; what has no mask is not said
    for name, boxes in (("liver", [(1, LIVER)]), ("spleen", [(1, SPLEEN)]), ("aorta", [])):
        write(root / f"total/s0001/segmentations/{name}.nii.gz", fill(boxes))
    write(root / "total/s0001/ct.nii.gz", ct, "h")
    write(root / "total/s0002/ct.nii.gz", ct, "h")
    write(root / "total/s0002/segmentations/liver.nii.gz", [0] * (40 * 36 * 43), "B", (40, 36, 43))
    write(root / "totalpred/s0001.nii.gz", fill(organs + [(7, (30, 30, 30, 3, 3, 3)), (9, (2, 30, 30, 2, 2, 2))]))
    (root / "totalpred/labels.json").write_text('{"liver": 5, "spleen": 1, "aorta": 7, "heart": 9}')
    # VerSe: every name is one level too high
    write(root / "verse/rawdata/sub-1_ct.nii.gz", ct, "h")
    write(root / "verse/derivatives/sub-1_seg-vert_msk.nii.gz", fill([(24 - i, b) for i, b in enumerate(SPINE)]))
    write(root / "versepred/sub-1.nii.gz", fill([(i + 1, b) for i, b in enumerate(SPINE)]))
    (root / "versepred/labels.json").write_text(json.dumps({n: i + 1 for i, n in enumerate(ABOVE)}))
    # our own: a mapping, an order of voxels that differs, a case that is elsewhere, one without a file
    write(root / "own/a/ct.nii.gz", ct, "h")
    write(root / "own/a/truth.nii.gz", fill(organs))
    write(root / "own/b/truth.nii.gz", fill(organs), origin=(10, 0, 0))
    cases = [{"name": "a", "image": "a/ct.nii.gz", "labels": "a/truth.nii.gz"},
             {"name": "b", "image": "a/ct.nii.gz", "labels": "b/truth.nii.gz"},
             {"name": "c", "image": "c/missing.nii.gz", "labels": "a/truth.nii.gz"},
             {"name": "d", "image": "a/ct.nii.gz", "labels": "a/truth.nii.gz", "labelled": ["liver"]}]
    own = {"format": "fabrica-dataset", "format_version": 1, "name": "Own boxes", "license": "CC0-1.0",
           "notes": "made by arithmetic", "labels": {"1": "spleen", "5": "liver"}, "cases": cases}
    (root / "own/dataset.json").write_text(json.dumps(own))
    for case in "abcd":
        write(root / f"ownpred/{case}.nii.gz", fill(organs, (0, 0, 1)))
    (root / "ownpred/labels.json").write_text('{"liver": 5, "spleen": 1}')
    own["structures"] = [{"name": "both", "reference": ["liver", 1], "predicted": ["liver", "spleen"]}]
    own["cases"] = cases[:1]
    (root / "mapped").mkdir()
    (root / "mapped/a").symlink_to("../own/a")
    (root / "mapped/dataset.json").write_text(json.dumps(own))
    own["structures"][0]["predicted"] = ["liver", "nose"]
    (root / "wrongmap").mkdir()
    (root / "wrongmap/a").symlink_to("../own/a")
    own["structures"][0]["predicted"] = ["nose"]
    (root / "wrongmap/dataset.json").write_text(json.dumps(own))


main()
