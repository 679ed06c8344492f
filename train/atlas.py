"""Prepare the label maps for synthesis: 2 mm LPS grids with distance fields that lay out what is unlabelled.

A label map names organs and bones but says nothing about fat, wall muscle or skin. Those are laid
out at synthesis time from distances prepared here: to the trunk's hull, to the hull of the body
cavity, and to the ribs, pelvis and shoulder bones, so that each synthetic patient gets its own.
"""

import argparse
import json
import pathlib

import numpy as np
import scipy.ndimage as nd
from matplotlib.path import Path
from scipy.spatial import ConvexHull

import classes
import volumes

GRID_MM = 2.0
PAD_MM = 56.0

# Values beside TotalSegmentator's 1..117 in the fine label maps.
MUSCLE, FAT, SKIN, DISC, MIXED, CANAL, UNKNOWN = 200, 201, 202, 203, 204, 205, 210

SPL_NAMES = {
    "liver": "liver", "spleen": "spleen", "pancreas": "pancreas", "aorta": "aorta",
    "inferior vena cava": "inferior_vena_cava", "colon and ileum": "colon",
    "gallbladder": "gallbladder", "stomach and duodenum": "stomach",
    "portal vein and superior mesenteric vein": "portal_vein_and_splenic_vein",
    "splenic vein": "portal_vein_and_splenic_vein", "right kidney": "kidney_right",
    "left kidney": "kidney_left", "Sacrum": "sacrum", "Pelvis": "hip_left",
    "right adrenal gland": "adrenal_gland_right", "left adrenal gland": "adrenal_gland_left",
    "right common iliac artery": "iliac_artery_right", "left common iliac artery": "iliac_artery_left",
    "right external iliac artery": "iliac_artery_right",
    "left external iliac artery": "iliac_artery_left",
    "right common iliac vein": "iliac_vena_right", "left common iliac vein": "iliac_vena_left",
    "right external iliac vein": "iliac_vena_right", "left external iliac vein": "iliac_vena_left",
    "right erector spinae muscle": "autochthon_right", "left erector spinae muscle": "autochthon_left",
    "right psoas muscle": "iliopsoas_right", "left psoas muscle": "iliopsoas_left",
    "right iliacus muscle": "iliopsoas_right", "left iliacus muscle": "iliopsoas_left",
    "right gluteus maximus muscle": "gluteus_maximus_right",
    "left gluteus maximus muscle": "gluteus_maximus_left",
    "right gluteus medius muscle": "gluteus_medius_right",
    "left gluteus medius muscle": "gluteus_medius_left",
    "right gluteus minimus muscle": "gluteus_minimus_right",
    "left gluteus minimus muscle": "gluteus_minimus_left",
    "right renal pelvis": "kidney_right", "left renal pelvis": "kidney_left",
}  # fmt: skip


def hull_mask(mask):
    """Convex hull of every axial slice."""
    out = np.zeros(mask.shape, bool)
    yy, xx = np.mgrid[: mask.shape[1], : mask.shape[2]]
    grid = np.column_stack([xx.ravel(), yy.ravel()])
    for z in range(mask.shape[0]):
        pts = np.argwhere(mask[z])[:, ::-1]
        if len(pts) < 12 or np.ptp(pts[:, 0]) < 2 or np.ptp(pts[:, 1]) < 2:
            continue
        hull = pts[ConvexHull(pts).vertices]
        out[z] = Path(hull).contains_points(grid, radius=0.5).reshape(mask.shape[1:])
    return out


def signed_mm(mask, step, smooth):
    """Signed distance in mm, positive outside, smoothed."""
    d = nd.distance_transform_edt(~mask) - nd.distance_transform_edt(mask)
    return nd.gaussian_filter(d * step, smooth / step)


def fields_of(lab, names):
    """Distance fields on a 4 mm grid, enlarged to lab's 2 mm one; clipped to int8 mm."""
    ids = {n: v for v, n in names.items()}

    def has(*patterns):
        values = [v for n, v in ids.items() if any(classes.matches(n, p) for p in patterns)]
        return np.isin(small, values)

    small = lab[::2, ::2, ::2]
    trunk = (small > 0) & ~has("humerus_*", "skull", "brain") & (small != UNKNOWN)
    inner = has(
        "lung_*", "heart", "liver", "spleen", "stomach", "small_bowel", "duodenum", "colon", "kidney_*",
        "pancreas", "urinary_bladder", "aorta", "vertebrae_*", "iliopsoas_*", "gallbladder", "sacrum",
    )  # fmt: skip
    step = 2 * GRID_MM
    out = {
        "hull": signed_mm(hull_mask(trunk), step, 10),
        "cavity": signed_mm(hull_mask(inner), step, 6),
        "pelvis": nd.distance_transform_edt(~has("hip_*", "sacrum")) * step,
        "femur": nd.distance_transform_edt(~has("femur_*", "humerus_*")) * step,
        "shoulder": nd.distance_transform_edt(~has("scapula_*", "clavicula_*")) * step,
        "ribs": nd.distance_transform_edt(~has("rib_*", "sternum", "costal_cartilages")) * step,
        "cord": nd.distance_transform_edt(~has("spinal_cord")) * step,
    }
    full = []
    for v in out.values():
        v = np.clip(v, -126, 126).astype(np.float32)
        z = nd.zoom(v, [n / m for n, m in zip(lab.shape, v.shape)], order=1, grid_mode=True, mode="nearest")
        full.append(np.round(z).astype(np.int8))
    return np.stack(full), list(out)


def discs(lab, names):
    """Unlabelled voxels between neighbouring vertebral bodies."""
    vert = np.isin(lab, [v for v, n in names.items() if n.startswith("vertebrae_") or n == "sacrum"])
    thick = nd.binary_opening(vert, iterations=4)
    closed = nd.binary_closing(thick, np.ones((9, 1, 1), bool), iterations=1)
    return closed & (lab == 0)


def to_grid(lab, spacing):
    lab = volumes.resample_nearest(lab, spacing, [GRID_MM] * 3)
    pad = int(PAD_MM / GRID_MM)
    lab = np.pad(lab, ((0, 0), (pad, pad), (pad, pad)))
    return lab[: lab.shape[0] // 2 * 2, : lab.shape[1] // 2 * 2, : lab.shape[2] // 2 * 2]


def spl_map(data, names):
    """The SPL atlas in TotalSegmentator's numbers; what it does not name becomes UNKNOWN there."""
    folder = data / "labelmaps/spl_abdominal_atlas"
    ids = {n: v for v, n in names.items()}
    raw, spacing = volumes.read_lps(folder / "seg.nii.gz")
    out = np.zeros(raw.shape, np.uint8)
    for s in json.loads((folder / "atlasStructure.json").read_text()):
        if s.get("@type") != "Structure":
            continue
        name = s["annotation"]["name"]
        for q in s.get("sourceSelector", []):
            if "LabelMapSelector" not in q["@type"]:
                continue
            if name in SPL_NAMES:
                value = ids[SPL_NAMES[name]]
            elif name.startswith("Lumbar") or name.startswith("Thoracic"):
                value = ids["vertebrae_" + ("L" if name[0] == "L" else "T") + name.lstrip("LumbarThoracic")]
            elif name.startswith("Rib"):
                value = ids["rib_left_" + name[3:]]
            elif "Disc" in name:
                value = DISC
            elif "muscle" in name:
                value = MUSCLE
            else:
                value = MIXED
            out[raw == q["dataKey"]] = value
    vert = np.isin(out, [ids[n] for n in ids if n.startswith("vertebrae_")])
    canal = np.stack([nd.binary_fill_holes(nd.binary_closing(v, iterations=4)) & ~v for v in vert])
    out[canal & (out == 0)] = UNKNOWN
    top = int(raw.shape[0] * 0.60)
    return out[:top], spacing


def prepare(data, out):
    out.mkdir(parents=True, exist_ok=True)
    names = classes.v2_names(data)
    for name in ("s0327", "s0328", "spl"):
        if name == "spl":
            lab, spacing = spl_map(data, names)
        else:
            lab, spacing = volumes.read_lps(data / f"labelmaps/{name}_total117.nii.gz")
        lab = to_grid(lab.astype(np.uint8), spacing)
        if name != "spl":
            lab[discs(lab, names)] = DISC
        fields, keys = fields_of(lab, names)
        np.savez(out / f"{name}.npz", lab=lab, fields=fields, keys=keys)
        print(name, lab.shape, keys, flush=True)


if __name__ == "__main__":
    ap = argparse.ArgumentParser(description=__doc__)
    ap.add_argument("--data", type=pathlib.Path, default=pathlib.Path("../shared/data"))
    ap.add_argument("--out", type=pathlib.Path, required=True, help="folder for the prepared maps")
    a = ap.parse_args()
    prepare(a.data, a.out)
