"""Synthetic CT: deform a prepared label map, lay out fat, muscle and skin, give every tissue HU, scan it.

sample() returns one block of a patient nobody has: image in HU and classes, both on the network's grid.
Run as a program this file keeps a pool of such blocks filled for train.py, at low priority.
"""

import argparse
import os
import pathlib
import time

import numpy as np
import torch
from torch.nn import functional as F

import classes
import volumes
from atlas import CANAL, DISC, FAT, GRID_MM, MIXED, MUSCLE, SKIN, UNKNOWN

TARGET_MM = 4.0
BLOCK = (64, 72, 108)  # z, y, x voxels of TARGET_MM
SIDES = 2  # GRID_MM voxels per target voxel

# How often a block is centred on a structure of this kind (the rest: anywhere on the spine).
FOCUS = {
    "spleen": 1.5, "kidney_*": 1.5, "sacrum": 1.5, "stomach": 1.2, "pancreas": 0.7, "urinary_bladder": 0.8,
    "heart": 0.8, "lung_*": 0.8, "hip_*": 1.2, "femur_*": 0.8, "liver": 0.7, "colon": 0.6,
    "vertebrae_*": 2.0, "clavicula_*": 0.3, "sternum": 0.3, "inferior_vena_cava": 0.4,
}  # fmt: skip


class Atlas:
    def __init__(self, path, names):
        z = np.load(path)
        self.name = path.stem
        self.lab = torch.from_numpy(z["lab"])
        self.fields = torch.from_numpy(z["fields"])
        self.keys = [str(k) for k in z["keys"]]
        self.ids = {n: v for v, n in names.items()}
        self.to_class = np.full(256, classes.SOFT, np.uint8)
        self.to_class[0] = 0
        for v, n in names.items():
            self.to_class[v] = classes.class_of(n)
        self.to_class[UNKNOWN] = classes.IGNORE
        self.points = {}
        lab = z["lab"]
        for pattern in FOCUS:
            vals = [v for v, n in names.items() if classes.matches(n, pattern)]
            pts = np.argwhere(np.isin(lab[::4, ::4, ::4], vals)) * 4
            if len(pts) > 20:
                self.points[pattern] = pts


def displacement(shape, rng, centre, atlas):
    """Smooth displacement in mm on a coarse grid over the block (shape 1,3,...; order z,y,x)."""
    coarse = [s // 8 + 1 for s in shape]
    total = torch.zeros(1, 3, *coarse)
    for cell_mm, amp in ((150, rng.uniform(0, 14)), (70, rng.uniform(0, 9)), (35, rng.uniform(0, 3.5))):
        cell = cell_mm / (8 * GRID_MM)
        n = [max(2, int(round(c / cell)) + 2) for c in coarse]
        g = torch.from_numpy(rng.standard_normal((1, 3, *n)).astype(np.float32)) * amp
        total += F.interpolate(g, size=coarse, mode="trilinear", align_corners=True)
    zs = torch.linspace(0, 1, coarse[0])
    for axis, amp in ((2, 12.0), (1, 10.0)):  # scoliosis and sagittal curves
        a, ph, k = rng.normal(0, amp / 2), rng.uniform(0, 6.3), rng.uniform(1.5, 5)
        total[0, axis] += (a * torch.sin(k * zs + ph))[:, None, None]
    zz, yy, xx = torch.meshgrid(*[torch.arange(c) * 8 * GRID_MM for c in coarse], indexing="ij")
    for _ in range(rng.integers(0, 5)):  # organs larger or smaller
        c = [rng.uniform(0.1, 0.9) * s * GRID_MM for s in shape]
        r = rng.uniform(30, 70)
        a = rng.uniform(-0.35, 0.35)
        d = torch.stack([zz - c[0], yy - c[1], xx - c[2]])
        total += a * d[None] * torch.exp(-(d**2).sum(0) / (2 * r * r))[None, None]
    return total


def coordinates(atlas, rng, shape):
    """grid_sample coordinates (x,y,z last) of the block's 2 mm voxels in the atlas."""
    dims = np.array(atlas.lab.shape, float)
    keys = list(atlas.points)
    w = np.array([FOCUS[k] for k in keys])
    pts = atlas.points[keys[rng.choice(len(keys), p=w / w.sum())]]
    centre = pts[rng.integers(len(pts))].astype(float)
    half = np.array(shape) * 0.5
    centre += rng.uniform(-0.45, 0.45, 3) * np.array(shape) * [0.9, 0.35, 0.25]
    scale = rng.uniform(0.86, 1.18) * rng.uniform(0.9, 1.1, 3)
    # keep most of the block inside the map; across the body stay near its middle
    mid = dims / 2
    for a in range(3):
        room = max(0.0, dims[a] / 2 - half[a] / scale[a])
        centre[a] = np.clip(centre[a], mid[a] - room - 8, mid[a] + room + 8)
    ang = rng.normal(0, 1, 3) * np.radians([7, 5, 6])
    cz, sz, cy, sy, cx, sx = *np.array([[np.cos(t), np.sin(t)] for t in ang]).ravel(),
    rz = np.array([[1, 0, 0], [0, cz, -sz], [0, sz, cz]])
    ry = np.array([[cy, 0, -sy], [0, 1, 0], [sy, 0, cy]])
    rx = np.array([[cx, -sx, 0], [sx, cx, 0], [0, 0, 1]])
    mat = rz @ ry @ rx @ np.diag(1 / scale)
    disp = displacement(shape, rng, centre, atlas)
    coarse = disp.shape[2:]
    grid = torch.stack(
        torch.meshgrid(*[torch.arange(c, dtype=torch.float32) * 8 for c in coarse], indexing="ij")
    )
    rel = grid - torch.from_numpy(half.astype(np.float32))[:, None, None, None]
    src = torch.einsum("ij,jzyx->izyx", torch.from_numpy(mat.astype(np.float32)), rel)
    src = src + torch.from_numpy(centre.astype(np.float32))[:, None, None, None] + disp[0] / GRID_MM
    big = [(c - 1) * 8 + 1 for c in coarse]
    src = F.interpolate(src[None], size=big, mode="trilinear", align_corners=True)[0]
    src = src[:, : shape[0], : shape[1], : shape[2]]
    scale_t = torch.tensor([2 / (d - 1) for d in dims], dtype=torch.float32)[:, None, None, None]
    return (src * scale_t - 1).flip(0).permute(1, 2, 3, 0)[None]


def warp(vol, grid, mode, outside):
    v = vol.float() if vol.dim() == 4 else vol[None].float()
    return F.grid_sample(v[None] - outside, grid, mode=mode, padding_mode="zeros", align_corners=True)[0] + outside


def lay_out(lab, f, rng):
    """Fill what the map leaves unlabelled: returns the fine map with fat, muscle, skin."""
    shape = lab.shape
    n1 = volumes.smooth_noise(shape, 24, rng)
    n2 = volumes.smooth_noise(shape, 7, rng)
    fat_t = rng.choice([rng.uniform(4, 14), rng.uniform(10, 30), rng.uniform(25, 50)], p=[0.35, 0.45, 0.2])
    y = torch.linspace(-1, 1, shape[1])[None, :, None]
    thick = fat_t * (1 + 0.25 * n1 + rng.normal(0, 0.25) * y).clamp(0.2, 2.5)
    body = (f["hull"] < thick) | ((f["femur"] < 45 + 6 * n1) & (f["hull"] < 60))
    wall_t = rng.uniform(8, 20)
    wall = (f["cavity"] < wall_t * (1 + 0.2 * n1)) & (f["cavity"] > -rng.uniform(0, 3))
    marb = rng.uniform(0.8, 1.8)  # fat planes between muscles
    muscle = wall & (n2 < marb)
    muscle |= (f["shoulder"] < rng.uniform(12, 24) + 4 * n1) & (n2 < marb)
    muscle |= (f["pelvis"] < rng.uniform(6, 18) + 4 * n1) & (n2 < marb)
    muscle |= (f["femur"] < rng.uniform(28, 45) + 6 * n1) & (n2 < marb)
    muscle |= (f["ribs"] < rng.uniform(5, 12)) & (f["cavity"] > -4) & (n2 < marb)
    mixed = (f["cavity"] < 0) & (n2 > rng.uniform(0.3, 1.6))
    free = lab == 0
    out = lab.clone()
    out[free & body] = FAT
    out[free & body & muscle] = MUSCLE
    out[free & body & mixed & ~muscle] = MIXED
    out[free & body & (f["cord"] < rng.uniform(4, 7))] = CANAL
    ext = ~(body | (lab > 0))
    edge = torch.zeros_like(ext)
    for axis in (1, 2):
        edge |= torch.roll(ext, 1, axis) | torch.roll(ext, -1, axis)
    out[edge & ~ext & ((out == FAT) | (out == MUSCLE))] = SKIN
    return out


def phase_values(rng):
    """Mean HU of vessels and organs in one contrast phase."""
    p = rng.choice(["none", "arterial", "portal", "late"], p=[0.4, 0.15, 0.35, 0.1])
    u = rng.uniform
    v = {
        "none": dict(aorta=u(30, 52), ivc=u(28, 50), pv=u(28, 48), liver=u(38, 68), spleen=u(35, 56),
                     cortex=u(18, 42), medulla=u(15, 38), pancreas=u(5, 45), heart=u(30, 50)),
        "arterial": dict(aorta=u(200, 400), ivc=u(40, 120), pv=u(50, 120), liver=u(50, 85), spleen=u(70, 160),
                         cortex=u(110, 230), medulla=u(40, 100), pancreas=u(60, 120), heart=u(110, 300)),
        "portal": dict(aorta=u(110, 200), ivc=u(90, 180), pv=u(120, 200), liver=u(80, 135), spleen=u(90, 145),
                       cortex=u(130, 230), medulla=u(110, 230), pancreas=u(60, 120), heart=u(90, 180)),
        "late": dict(aorta=u(80, 130), ivc=u(80, 130), pv=u(80, 130), liver=u(65, 105), spleen=u(70, 110),
                     cortex=u(90, 160), medulla=u(120, 260), pancreas=u(50, 90), heart=u(80, 120)),
    }[p]  # fmt: skip
    if rng.random() < 0.2:  # fatty liver
        v["liver"] -= u(15, 50)
    v["phase"] = p
    return v


def mean_table(atlas, rng):
    """Mean HU per fine label for one patient."""
    v = phase_values(rng)
    u = rng.uniform
    muscle = u(25, 65) + (10 if v["phase"] != "none" else 0)
    t = np.full(256, 35.0, np.float32)
    t[0] = -1000
    ids = atlas.ids
    t[FAT], t[SKIN], t[DISC], t[CANAL] = u(-118, -88), u(-30, 50), u(55, 110), u(-25, 30)
    t[MUSCLE], t[MIXED] = muscle - u(0, 20), u(-60, 40)
    means = {
        "liver": v["liver"], "spleen": v["spleen"], "kidney_*": v["cortex"], "kidney_cyst_*": u(0, 20),
        "pancreas": v["pancreas"], "aorta": v["aorta"], "inferior_vena_cava": v["ivc"], "heart": v["heart"],
        "atrial_appendage_left": v["heart"], "pulmonary_vein": v["heart"] + u(-10, 20),
        "portal_vein_and_splenic_vein": v["pv"], "superior_vena_cava": u(40, 300) if v["phase"] != "none" else 42,
        "iliac_artery_*": v["aorta"] * u(0.9, 1.05), "iliac_vena_*": v["ivc"] * u(0.75, 1.0),
        "subclavian_*": v["aorta"], "common_carotid_*": v["aorta"], "brachiocephalic_*": v["aorta"] * u(0.8, 1.1),
        "gallbladder": u(-5, 25), "stomach": u(15, 60), "small_bowel": u(10, 50), "duodenum": u(10, 50),
        "colon": u(5, 45), "urinary_bladder": u(-5, 22), "prostate": u(25, 60), "esophagus": u(20, 60),
        "trachea": -960, "thyroid_gland": u(60, 160), "adrenal_gland_*": u(5, 50), "spinal_cord": u(22, 55),
        "gluteus_*": muscle - u(-5, 35), "autochthon_*": muscle - u(-5, 35), "iliopsoas_*": muscle - u(-8, 12),
        "costal_cartilages": u(60, 140), "lung_*": u(-880, -730), "skull": 500, "brain": 35,
    }  # fmt: skip
    if v["phase"] == "late" and u(0, 1) < 0.5:
        means["urinary_bladder"] = u(60, 400)
    for pattern, hu in means.items():
        for n, i in ids.items():
            if classes.matches(n, pattern):
                t[i] = hu
    return t, v


def add_bones(hu, lab, atlas, rng):
    """Cortical shell and cancellous inside, per kind of bone; patients differ in density."""
    density = rng.uniform(0.45, 1.8)
    kinds = torch.zeros(256, dtype=torch.uint8)
    inner = torch.zeros(256)
    outer = torch.zeros(256)
    for n, i in atlas.ids.items():
        if n.startswith("vertebrae_") or n == "sacrum":
            inner[i], outer[i] = 170, rng.uniform(260, 560)
        elif n.startswith(("hip_", "scapula_", "clavicula_")):
            inner[i], outer[i] = 150, rng.uniform(330, 620)
        elif n.startswith(("femur_", "humerus_")):
            inner[i], outer[i] = 180, rng.uniform(350, 750)
        elif n.startswith("rib_"):
            inner[i], outer[i] = 170, rng.uniform(300, 600)
        elif n == "sternum":
            inner[i], outer[i] = 110, rng.uniform(180, 320)
        else:
            continue
        kinds[i] = i
    inner[[i for n, i in atlas.ids.items() if n == "sacrum"]] *= rng.uniform(0.5, 0.9)
    kind = kinds[lab.long()]
    bone = kind > 0
    shell = torch.zeros_like(bone)
    for axis in (0, 1, 2):
        for s in (1, -1):
            shell |= torch.roll(kind, s, axis) != kind
    shell &= bone
    tex = volumes.smooth_noise(lab.shape, 2.5, rng)
    low = volumes.smooth_noise(lab.shape, 10, rng)
    idx = lab.long()
    value = torch.where(
        shell,
        outer[idx] * (0.55 + 0.45 * density) * (1 + 0.25 * low),
        inner[idx] * density * (1 + 0.18 * tex + 0.15 * low),
    )
    if rng.random() < 0.5:  # the marrow of long and flat bones is often fatty
        fatty = (tex + low > 0.9) & bone & ~shell
        value = torch.where(fatty, value * rng.uniform(0.1, 0.6), value)
    return torch.where(bone, value, hu)


def add_contents(hu, lab, atlas, rng):
    """Gas, stool, fluid and contrast in bowel and stomach; gas rises to the front."""
    ids = atlas.ids
    shape = lab.shape
    y = torch.linspace(1, -1, shape[1])[None, :, None]
    for name, gas_p, cell in (("colon", 0.7, 9), ("small_bowel", 0.3, 7), ("stomach", 0.6, 16), ("duodenum", 0.2, 6)):
        m = lab == ids[name]
        if not m.any():
            continue
        core = m.clone()
        for axis in (0, 1, 2):
            core &= torch.roll(m, 1, axis) & torch.roll(m, -1, axis)
        a = volumes.smooth_noise(shape, cell, rng)
        b = volumes.smooth_noise(shape, 3, rng)
        if rng.random() < 0.85:
            hu = torch.where(core & (b > 0), hu + rng.uniform(-70, 20) * b, hu)
        if name == "colon" and rng.random() < 0.7:  # stool holds gas bubbles
            hu = torch.where(core & (b + 0.5 * a > rng.uniform(0.7, 2.0)), torch.full_like(hu, rng.uniform(-700, -150)), hu)
        if name != "colon" and rng.random() < 0.3:  # oral contrast
            hu = torch.where(core & (a < rng.uniform(-0.5, 1)), torch.full_like(hu, rng.uniform(100, 400)), hu)
        if rng.random() < gas_p:
            gas = core & (a + rng.uniform(0.3, 2.0) * y > rng.uniform(0.3, 1.6))
            hu = torch.where(gas, torch.full_like(hu, -960.0), hu)
    return hu


def intensities(lab, f, atlas, rng):
    table, v = mean_table(atlas, rng)
    hu = torch.from_numpy(table)[lab.long()]
    ids = atlas.ids
    shape = lab.shape
    n1 = volumes.smooth_noise(shape, 5, rng)
    n2 = volumes.smooth_noise(shape, 18, rng)
    n3 = volumes.smooth_noise(shape, 2, rng)
    soft = (hu > -200) & (lab > 0)
    hu = torch.where(soft, hu + 5 * n1 * rng.uniform(0, 1.5) + 4 * n2, hu)
    is_ids = [i for n, i in ids.items() if n.startswith(("autochthon", "gluteus"))] + [MUSCLE]
    mus = torch.zeros(256, dtype=torch.bool)
    mus[is_ids] = True
    mus = mus[lab.long()]
    streak = rng.uniform(0.9, 2.6)  # fat streaks inside the muscles
    hu = torch.where(mus & (n1 > streak), torch.full_like(hu, -80.0), hu)
    mix = lab == MIXED
    hu = torch.where(mix, hu + 45 * n3, hu)
    lung = torch.zeros(256, dtype=torch.bool)
    lung[[i for n, i in ids.items() if n.startswith("lung_")]] = True
    lung = lung[lab.long()]
    if lung.any():
        vessels = lung & (n1 + 0.5 * n3 > rng.uniform(1.7, 2.6))
        hu = torch.where(lung, hu + 40 * n2 + 30 * n3, hu)
        hu = torch.where(vessels, torch.full_like(hu, rng.uniform(-100, 60)), hu)
        if rng.random() < 0.3:  # atelectasis at the back
            y = torch.linspace(-1, 1, shape[1])[None, :, None]
            dens = (y + 0.25 * n2 > rng.uniform(0.1, 0.7)) & lung
            hu = torch.where(dens, hu * rng.uniform(0.2, 0.8), hu)
    kid = torch.zeros(256, dtype=torch.bool)
    kid[[ids["kidney_right"], ids["kidney_left"]]] = True
    kid = kid[lab.long()]
    if kid.any():
        med = kid & (n1 > rng.uniform(0.0, 0.8))
        core = kid.clone()
        for _ in range(2):
            for axis in (0, 1, 2):
                core &= torch.roll(core, 1, axis) & torch.roll(core, -1, axis)
        hu = torch.where(med & core, torch.full_like(hu, float(v["medulla"])), hu)
    heart = lab == ids["heart"]
    if heart.any() and v["phase"] != "none":
        hu = torch.where(heart & (n2 > rng.uniform(-0.5, 0.8)), hu * rng.uniform(0.5, 0.9), hu)
    hu = add_contents(hu, lab, atlas, rng)
    return add_bones(hu, lab, atlas, rng)


def table_hu(hu, body, rng):
    """A patient table behind the back: a thin curved shell."""
    if rng.random() < 0.3:
        return hu
    nz, ny, nx = hu.shape
    rows = torch.nonzero(body.any(0).any(1))
    back = int(rows.max()) if len(rows) else ny - 20
    x = (torch.arange(nx) - nx / 2 + rng.uniform(-10, 10)) * GRID_MM
    y0 = back * GRID_MM + rng.uniform(0, 40) - rng.uniform(0, 4e-4) * x**2
    yy = torch.arange(ny)[:, None] * GRID_MM
    for off, hu_v in ((0, rng.uniform(-500, 200)), (rng.uniform(10, 40), rng.uniform(-700, 100))):
        shell = (yy - y0[None, :] - off).abs() < rng.uniform(1.2, 3)
        shell &= (x.abs() < rng.uniform(150, 260))[None, :]
        hu = torch.where(shell[None] & ~body, torch.full_like(hu, hu_v), hu)
    if rng.random() < 0.5:  # foam
        foam = (yy > y0[None, :]) & (yy < y0[None, :] + 30)
        hu = torch.where(foam[None] & ~body & (hu < -900), torch.full_like(hu, rng.uniform(-980, -880)), hu)
    return hu


def gauss1d(x, sigma, axis):
    """Gaussian blur along one axis of a (z,y,x) tensor; sigma in voxels."""
    if sigma < 0.15:
        return x
    r = max(1, int(np.ceil(2.5 * sigma)))
    k = torch.exp(-0.5 * (torch.arange(-r, r + 1).float() / sigma) ** 2)
    k = k / k.sum()
    shape = [1, 1, 1, 1, 1]
    shape[2 + axis] = 2 * r + 1
    pad = [0, 0, 0, 0, 0, 0]
    pad[2 * (2 - axis)] = pad[2 * (2 - axis) + 1] = r
    return F.conv3d(F.pad(x[None, None], pad, mode="replicate"), k.view(shape))[0, 0]


def scan(hu, rng):
    """Kernel, slice thickness, noise, and the evaluation's prefilter; 2 mm to the network's grid."""
    noise = torch.from_numpy(rng.standard_normal(hu.shape).astype(np.float32)) * rng.uniform(5, 80)
    if rng.random() < 0.7:  # noise is correlated by the kernel
        s = rng.uniform(0.3, 0.8)
        noise = gauss1d(gauss1d(noise, s, 1), s, 2)
    hu = hu + noise
    pre = 0.4 * np.sqrt(SIDES**2 - 1)
    kernel = rng.uniform(0.1, 0.7)
    inplane = float(np.hypot(pre, kernel))
    along = float(np.hypot(pre, rng.uniform(0.1, 1.1)))
    for axis, s in ((0, along), (1, inplane), (2, inplane)):
        hu = gauss1d(hu, s, axis)
    return F.avg_pool3d(hu[None, None], SIDES)[0, 0]


def sample(atlas, rng, block=BLOCK):
    """(image HU int16, class uint8) on the network's grid, both of shape `block`."""
    shape = [b * SIDES for b in block]
    grid = coordinates(atlas, rng, shape)
    lab = warp(atlas.lab, grid, "nearest", 0)[0].round().to(torch.uint8)
    fields = warp(atlas.fields, grid, "bilinear", 126)
    f = dict(zip(atlas.keys, fields))
    inside = (grid.abs() <= 1).all(-1)[0]
    fine = lay_out(lab, f, rng)
    hu = intensities(fine, f, atlas, rng)
    hu = torch.where(fine == UNKNOWN, torch.full_like(hu, rng.uniform(-20, 40)), hu)
    hu = table_hu(hu, fine > 0, rng)
    hu = torch.where(inside, hu, torch.full_like(hu, -1024.0))
    img = scan(hu, rng)
    cls = torch.from_numpy(atlas.to_class)[torch.where(inside, fine, torch.zeros_like(fine)).long()]
    # class of a target voxel: the corner nearest its centre (they all are; take the majority by two votes)
    a, b = cls[::2, ::2, ::2], cls[1::2, 1::2, 1::2]
    c, d = cls[::2, 1::2, ::2], cls[1::2, ::2, 1::2]
    out = torch.where((a == b) | (a == c) | (a == d), a, torch.where((b == c) | (b == d), b, torch.where(c == d, c, a)))
    return img.clamp(-1024, 3000).round().to(torch.int16).numpy(), out.numpy()


def load_atlases(folder, data, wanted):
    names = classes.v2_names(data)
    return [Atlas(folder / f"{n}.npz", names) for n in wanted]


def main():
    ap = argparse.ArgumentParser(description=__doc__)
    ap.add_argument("--data", type=pathlib.Path, default=pathlib.Path("../shared/data"))
    ap.add_argument("--atlas", type=pathlib.Path, required=True)
    ap.add_argument("--pool", type=pathlib.Path, required=True)
    ap.add_argument("--size", type=int, default=160, help="blocks in the pool; the oldest is replaced")
    ap.add_argument("--duty", type=float, default=0.3, help="share of wall time spent once the pool is full")
    ap.add_argument("--seed", type=int, default=1)
    ap.add_argument("--maps", default="s0327:5,s0328:6", help="map:weight list")
    ap.add_argument("--count", type=int, default=0, help="stop after this many blocks (0: never)")
    a = ap.parse_args()
    torch.set_num_threads(1)
    a.pool.mkdir(parents=True, exist_ok=True)
    wanted = dict(m.split(":") for m in a.maps.split(","))
    atlases = load_atlases(a.atlas, a.data, wanted)
    p = np.array([float(w) for w in wanted.values()])
    i = len(list(a.pool.glob("b*.npz")))
    made = 0
    while a.count == 0 or made < a.count:
        t0 = time.time()
        rng = np.random.default_rng([a.seed, i])
        atlas = atlases[rng.choice(len(atlases), p=p / p.sum())]
        img, cls = sample(atlas, rng)
        tmp = a.pool / "next.tmp.npz"
        np.savez(tmp, img=img, cls=cls, map=atlas.name)
        os.replace(tmp, a.pool / f"b{i % a.size:04d}.npz")
        i += 1
        made += 1
        if i > a.size:
            time.sleep((time.time() - t0) * (1 / a.duty - 1))


if __name__ == "__main__":
    main()
