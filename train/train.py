"""Train the network on pools of synthetic blocks: resumable, logged, its schedule tied to the clock.

    train.py --run RUNS/second --pools RUNS/pool-a RUNS/phantoms=0.4 --plan 32x64x80:15:40,48x64x96:16:20

A plan entry is PATCH:HH:MM: patches of that size (voxels of 4 mm) until that time. Small patches first:
an iteration costs half of one at the inference window's size while the network learns what is where.
"""

import argparse
import glob
import json
import math
import os
import pathlib
import random
import sys
import time

# glibc gives big tensors back to the kernel after every operation; the page faults cost half of
# an iteration. Must be set before the process starts, hence the exec.
MALLOC = {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": "17179869184", "MALLOC_TOP_PAD_": "268435456"}
if __name__ == "__main__" and "MALLOC_MMAP_MAX_" not in os.environ:
    os.execve(sys.executable, [sys.executable, *sys.argv], {**os.environ, **MALLOC})

import numpy as np  # noqa: E402
import torch  # noqa: E402
from torch.nn import functional as F  # noqa: E402

import classes  # noqa: E402
import net as netlib  # noqa: E402
from normalize import NORMALIZATION, normalize  # noqa: E402

BLOCK_MM = 4.0
FEATURES, CONVS, DECODER = [8, 32, 64, 128, 192], [1, 2, 2, 2, 2], [2, 2, 2, 1]
PATCH = (48, 64, 96)  # the window of inference
DEEP = (1, 2)
BOWEL = classes.NAMES.index("bowel")
LUNGS = classes.NAMES.index("lungs")
VERTEBRAE = classes.NAMES.index("vertebrae")
BONES = [classes.NAMES.index(n) for n in ("vertebrae", "sacrum", "ribs_sternum", "hips", "femurs",
                                          "shoulder_girdle")]  # fmt: skip
# Voxels in a thousand of each class in the pool. A class' cross-entropy counts by its root, so that
# small organs are found at all in a short run; the Dice term keeps them from growing too large.
SHARE = torch.tensor([547, 11.8, 3.7, 5.4, 11.2, 3.0, 23.3, 7.1, 2.4, 1.8, 28.5, 4.0, 4.8, 4.0, 33.8, 1.8,
                      1.0, 14.2, 18.1, 9.6, 1.2, 1.0, 261])  # fmt: skip
WEIGHT = (50 / SHARE).sqrt()
# Thin bones come late: three times the weight found them in a short run, half of that keeps them.
for _name, _times in {"hips": 1.5, "femurs": 2, "ribs_sternum": 2, "stomach": 1.5, "shoulder_girdle": 1.5,
                      "lungs": 3, "soft_tissue": 1.3}.items():  # fmt: skip
    WEIGHT[classes.NAMES.index(_name)] *= _times
# How often a patch is centred on a voxel of each class: the rare ones as often as the large.
FOCUS = (1 / SHARE).pow(0.25)
FOCUS[0] = 0


def rotation(angles):
    """Rotation matrix about z, y and x by angles in radians (coordinates z, y, x)."""
    (cz, cy, cx), (sz, sy, sx) = np.cos(angles), np.sin(angles)
    about_z = np.array([[1, 0, 0], [0, cz, -sz], [0, sz, cz]])
    about_y = np.array([[cy, 0, -sy], [0, 1, 0], [sy, 0, cy]])
    about_x = np.array([[cx, -sx, 0], [sx, cx, 0], [0, 0, 1]])
    return about_z @ about_y @ about_x


def cut_out(img, cls, centre, matrix, size):
    """Patch of `size` around `centre` (voxels); matrix maps patch offsets to block offsets. Air outside."""
    axes = [torch.arange(n, dtype=torch.float32) - (n - 1) / 2 for n in size]
    offset = torch.stack(torch.meshgrid(*axes, indexing="ij"), -1)
    where = offset @ torch.from_numpy(matrix.T.astype(np.float32)) + torch.tensor(centre, dtype=torch.float32)
    grid = (where * torch.tensor([2 / (n - 1) for n in img.shape]) - 1).flip(-1)[None]
    out = F.grid_sample(img[None, None] + 1024, grid, mode="bilinear", padding_mode="zeros", align_corners=True)
    lab = F.grid_sample(cls[None, None].float(), grid, mode="nearest", padding_mode="zeros", align_corners=True)
    return out - 1024, lab[0, 0].round().long()


class Pool:
    """Random patches of the blocks in some folders; weights choose between folders."""

    def __init__(self, patterns, rng):
        self.patterns = []
        for p in patterns:
            name, _, w = p.partition("=")
            self.patterns.append((name, float(w or 1)))
        self.rng = rng

    def block(self):
        while True:
            found = [(sorted(glob.glob(p + "/b*.npz")), w) for p, w in self.patterns]
            found = [(f, w) for f, w in found if f]
            if not found:
                time.sleep(2)
                continue
            files = self.rng.choices([f for f, _ in found], [w for _, w in found])[0]
            try:
                z = np.load(self.rng.choice(files))
                return z["img"].astype(np.float32), z["cls"]
            except (OSError, ValueError, KeyError, EOFError):  # being replaced by its maker
                continue

    def centre(self, cls, size):
        """Where to cut: around a voxel of a class drawn by FOCUS, or anywhere; mostly inside the block."""
        r = self.rng
        at = [r.uniform(0, n - 1) for n in cls.shape]
        if r.random() < 0.6:
            present = np.unique(cls)
            present = present[present < classes.SOFT]
            weights = FOCUS[torch.from_numpy(present.astype(np.int64))].tolist()
            if sum(weights) > 0:
                found = np.flatnonzero(cls.ravel() == r.choices(list(present), weights)[0])
                at = list(np.unravel_index(found[r.randrange(len(found))], cls.shape))
                at = [a + r.uniform(-0.3, 0.3) * s for a, s in zip(at, size)]
        lap = 0.1 if r.random() < 0.7 else 0.35  # how far over the block's edge: scans end anywhere
        low = [(0.5 - lap) * s for s in size]
        return [min(max(a, l), n - l) if n > 2 * l else (n - 1) / 2 for a, l, n in zip(at, low, cls.shape)]

    def patch(self, size):
        while True:
            img, cls = self.cut(size)
            if (cls > 0).float().mean() > 0.06:  # not just the air beside a patient
                return normalize(img), cls[None]

    def cut(self, size):
        r = self.rng
        img, cls = self.block()
        matrix = np.eye(3)
        if r.random() < 0.7:
            zoom = r.uniform(0.82, 1.18)
            matrix = rotation(np.radians([r.gauss(0, 7) for _ in range(3)]))
            matrix = matrix @ np.diag([zoom * r.uniform(0.93, 1.07) for _ in range(3)])
        img, cls = cut_out(torch.from_numpy(img), torch.from_numpy(cls), self.centre(cls, size), matrix, size)
        return self.change(img, cls)

    def spine_only(self, img, cls):
        """Cut the field of view to a box around one vertebra, as spine protocols do."""
        r = self.rng
        found = torch.nonzero(cls == VERTEBRAE)
        if len(found) == 0:
            return
        at = found[r.randrange(len(found))].tolist()
        at[1] -= r.randint(0, 6)
        half = [r.randint(12, 24), r.randint(11, 22), r.randint(9, 24)]
        for axis in range(3):
            n = cls.shape[axis]
            for lo, hi in ((0, max(0, at[axis] - half[axis])), (min(n, at[axis] + half[axis]), n)):
                img.narrow(2 + axis, lo, hi - lo).fill_(-1024)
                cls.narrow(axis, lo, hi - lo).fill_(0)

    def mass(self, img, cls):
        """Fluid or a tumour where fat and bowel were: large, without texture, and no organ of ours."""
        r = self.rng
        found = torch.nonzero((cls == classes.SOFT) & (img[0, 0] < -30) | (cls == BOWEL))
        if len(found) == 0:
            return
        at = found[r.randrange(len(found))].tolist()
        axes = [(torch.arange(n) - a) / r.uniform(5, 22) for n, a in zip(cls.shape, at)]
        inside = (axes[0] ** 2)[:, None, None] + (axes[1] ** 2)[:, None] + axes[2] ** 2 < 1
        inside &= (cls == classes.SOFT) & (img[0, 0] < -30) & (img[0, 0] > -300) | (cls == BOWEL)
        img[0, 0][inside] = (r.uniform(0, 75) + torch.randn_like(img[0, 0]) * r.uniform(3, 20))[inside]
        cls[inside] = classes.SOFT

    def lung_base(self, img, cls):
        """End the scan just above the lowest lung, as abdominal protocols do."""
        rows = torch.nonzero((cls == LUNGS).any(2).any(1)).flatten()
        if len(rows) == 0:
            return
        top = int(rows[0]) + self.rng.randint(1, 9)
        img[:, :, top:] = -1024
        cls[top:] = 0

    def change(self, img, cls):
        """Cheap changes, so that a block seen again is not the same."""
        r = self.rng
        if r.random() < 0.25:
            self.mass(img, cls)
        if r.random() < 0.7:  # bone denser or paler, every organ a little lighter or darker
            table = torch.tensor([r.gauss(0, 10) for _ in range(256)])
            gain = torch.ones(256)
            gain[BONES] = r.uniform(0.75, 1.5)
            gain[0] = 1.0
            table[0] = 0
            img = torch.where(img > -150, img.clamp(max=0) + img.clamp(min=0) * gain[cls] + table[cls], img)
        if r.random() < 0.6:
            img = img * r.uniform(0.9, 1.1) + r.uniform(-25, 25)
        if r.random() < 0.3:
            img = img + torch.randn_like(img) * r.uniform(0, 25)
        if r.random() < 0.3:  # softer or sharper, along one axis or all
            k = r.uniform(-0.08, 0.22)
            for axis in (2, 3, 4) if r.random() < 0.5 else (2,):
                img = (1 - 2 * k) * img + k * (img.roll(1, axis) + img.roll(-1, axis))
        if r.random() < 0.12:
            self.spine_only(img, cls)
        elif r.random() < 0.2:
            self.lung_base(img, cls)
        elif r.random() < 0.3:  # cut the field of view: what is outside is padding
            for axis in range(3):
                if r.random() < 0.5:
                    n = img.shape[2 + axis]
                    keep = r.randint(n // 3, n)
                    a = r.randint(0, n - keep)
                    for lo, hi in ((0, a), (a + keep, n)):
                        img.narrow(2 + axis, lo, hi - lo).fill_(-1024)
                        cls.narrow(axis, lo, hi - lo).fill_(0)
        return img, cls


def loss_of(logits, y, weight):
    """Weighted cross-entropy + soft Dice over the classes present, without one-hot tensors."""
    valid = y != classes.IGNORE
    yc = torch.where(valid, y, torch.zeros_like(y))
    logp = logits.log_softmax(1)
    py = logp.gather(1, yc[:, None])[:, 0]
    w = weight[yc] * valid
    ce = -(py * w).sum() / w.sum()
    p = logp.exp()
    flat = yc.flatten()
    v = valid.flatten().float()
    inter = torch.zeros(classes.COUNT).scatter_add(0, flat, py.exp().flatten() * v)
    count = torch.bincount(flat, v, classes.COUNT).float()
    total = (p * valid[:, None]).sum((0, 2, 3, 4)) if not bool(valid.all()) else p.sum((0, 2, 3, 4))
    dice = (2 * inter + 1) / (total + count + 1)
    present = count > 8
    present[0] = False
    return ce + 1 - dice[present].mean(), dice[present].mean().item()


def total_loss(outs, y, progress=0.0):
    """Over all heads. The classes' weights even out as the run goes on: found first, then drawn to size."""
    weight = WEIGHT ** (1 - 0.7 * progress)
    loss, dice = loss_of(outs[0], y, weight)
    for k, o in enumerate(outs[1:]):
        s = 2 ** (k + 1)
        loss = loss + 0.5 ** (k + 1) * loss_of(o, y[:, s // 2 :: s, s // 2 :: s, s // 2 :: s], weight)[0]
    return loss, dice


def first_weights(path):
    """State to begin a run with: of a checkpoint, of a package (without deep heads), or nothing."""
    if path is None:
        return {"net": {}, "ema": {}}
    if path.is_dir():
        weights = {k: torch.from_numpy(v.copy()) for k, v in netlib.load_safetensors(path / "weights.safetensors").items()}
        return {"net": weights, "ema": weights}
    return torch.load(path)


class Shared:
    """Weights, Adam's moments and the average as flat tensors in shared memory.

    On a busy machine two threads that wait for each other at every operation burn three times the
    CPU of one (measured); so each core gets its own single-threaded worker, and the workers update
    the same weights in turn. With two of them a gradient is at most one step old.
    """

    def __init__(self, arch):
        self.arch = arch
        net = netlib.PlainConvUNet(arch)
        self.names = [n for n, _ in net.named_parameters()]
        self.shapes = [p.shape for p in net.parameters()]
        flat = torch.cat([p.detach().flatten() for p in net.parameters()])
        self.flat, self.ema = flat.clone().share_memory_(), flat.clone().share_memory_()
        self.m, self.v = torch.zeros_like(flat).share_memory_(), torch.zeros_like(flat).share_memory_()
        self.it = torch.zeros(1, dtype=torch.long).share_memory_()
        self.start = torch.zeros(1, dtype=torch.float64).share_memory_()
        self.sum = torch.zeros(3, dtype=torch.float64).share_memory_()

    def views(self, flat):
        out, o = {}, 0
        for n, s in zip(self.names, self.shapes):
            out[n] = flat[o : o + s.numel()].view(s)
            o += s.numel()
        return out

    def attach(self):
        """A network whose weights are the shared ones, and its own flat gradient."""
        net = netlib.PlainConvUNet(self.arch)
        grad = torch.zeros_like(self.flat)
        weights, grads = self.views(self.flat), self.views(grad)
        for n, p in net.named_parameters():
            p.data, p.grad = weights[n], grads[n]
        return net, grad

    def adamw(self, grad, lr, decay=1e-4, b1=0.9, b2=0.99, clip=5.0):
        norm = float(grad.norm())
        if not math.isfinite(norm):
            return
        if norm > clip:
            grad.mul_(clip / norm)
        self.it += 1
        it = int(self.it)
        self.m.mul_(b1).add_(grad, alpha=1 - b1)
        self.v.mul_(b2).addcmul_(grad, grad, value=1 - b2)
        self.flat.mul_(1 - lr * decay)
        denom = (self.v / (1 - b2**it)).sqrt_().add_(1e-8)
        self.flat.addcdiv_(self.m, denom, value=-lr / (1 - b1**it))
        keep = min(0.995, (it + 1) / (it + 10))
        self.ema.mul_(keep).add_(self.flat, alpha=1 - keep)

    def save(self, folder):
        state = dict(
            net={k: v.clone() for k, v in self.views(self.flat).items()},
            ema={k: v.clone() for k, v in self.views(self.ema).items()},
            m=self.m.clone(), v=self.v.clone(), it=int(self.it), t0=float(self.start),
            arch=self.arch, normalization=NORMALIZATION,
        )  # fmt: skip
        torch.save(state, folder / "tmp.pt")
        os.replace(folder / "tmp.pt", folder / "ckpt.pt")

    @staticmethod
    def open(folder, start_from):
        """Resume folder's run, or begin one (from the fitting weights of another, if named)."""
        path = folder / "ckpt.pt"
        if path.exists():
            state = torch.load(path)
            me = Shared(state["arch"])
            me.m.copy_(state["m"])
            me.v.copy_(state["v"])
            me.it.fill_(state["it"])
            me.start.fill_(state["t0"])
        else:
            me = Shared(netlib.architecture(classes.COUNT, FEATURES, CONVS, DECODER))
            me.start.fill_(time.time())
            state = first_weights(start_from)
        for kind, flat in (("net", me.flat), ("ema", me.ema)):
            for n, w in me.views(flat).items():
                if n in state[kind] and state[kind][n].shape == w.shape:
                    w.copy_(state[kind][n])
        return me


def clock(text):
    now = time.localtime()
    h, m = text.split(":")
    return time.mktime((now.tm_year, now.tm_mon, now.tm_mday, int(h), int(m), 0, 0, 0, -1))


def work(rank, shared, lock, args):
    torch.set_num_threads(1)
    seed = args.seed * 1000003 + int(shared.it) * 10 + rank
    torch.manual_seed(seed)
    net, grad = shared.attach()
    pool = Pool(args.pools, random.Random(seed))
    plan = [(tuple(map(int, e.split(":", 1)[0].split("x"))), clock(e.split(":", 1)[1])) for e in args.plan.split(",")]
    start, end = float(shared.start), plan[-1][1]
    while time.time() < end:
        size = next(s for s, until in plan if time.time() < until)
        f = min(1.0, (time.time() - start) / (end - start))
        lr = args.lr * min(1, (int(shared.it) + 1) / 100) * max(0.01, 0.5 * (1 + math.cos(math.pi * f)))
        # Two patches at a time: torch 1.13 falls to a slow 3D convolution at batch 1 in deep stages.
        xs, ys = zip(*[pool.patch(size) for _ in range(2)])
        grad.zero_()
        loss, dice = total_loss(net(torch.cat(xs), deep=DEEP), torch.cat(ys), f)
        loss.backward()
        with lock:
            shared.adamw(grad, lr)
            shared.sum += torch.tensor([loss.item(), dice, 1.0])
            it = int(shared.it)
            if it % 20 == 0:
                s = shared.sum
                entry = dict(time=time.strftime("%H:%M:%S"), it=it, patch=size, lr=round(lr, 6),
                             loss=round(float(s[0] / s[2]), 4), dice=round(float(s[1] / s[2]), 4),
                             cpu_s=round(time.process_time()))  # fmt: skip
                with open(args.run / "log.jsonl", "a") as out:
                    out.write(json.dumps(entry) + "\n")
                s.zero_()
            if it % 100 == 0:
                shared.save(args.run)


def train(args):
    torch.set_num_threads(1)
    torch.manual_seed(args.seed)
    args.run.mkdir(parents=True, exist_ok=True)
    (args.run / "pid").write_text(str(os.getpid()))
    shared = Shared.open(args.run, args.start_from)
    context = torch.multiprocessing.get_context("fork")
    lock = context.Lock()
    workers = [context.Process(target=work, args=(r, shared, lock, args)) for r in range(args.workers)]
    for w in workers:
        w.start()
    for w in workers:
        w.join()
    shared.save(args.run)


if __name__ == "__main__":
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--run", type=pathlib.Path, required=True, help="folder of checkpoint and log")
    ap.add_argument("--pools", nargs="+", required=True, help="FOLDER[=WEIGHT] of blocks")
    ap.add_argument("--plan", required=True, help="PATCH:HH:MM,...: patch size until that time; the last ends the run")
    ap.add_argument("--start-from", type=pathlib.Path, help="checkpoint or package for a new run's first weights")
    ap.add_argument("--lr", type=float, default=1.5e-3)
    ap.add_argument("--seed", type=int, default=3)
    ap.add_argument("--workers", type=int, default=2)
    train(ap.parse_args())
