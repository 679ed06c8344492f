"""Train the network on a pool of synthetic blocks: resumable, seeded, logged, its schedule tied to the clock.

    train.py --run RUNS/first --pools RUNS/pool* --until 12:50 --plan 6:12:10,4:12:50

A plan entry is SPACING_MM:HH:MM: blocks are enlarged to that spacing until that time. Coarse blocks
first: a step costs a third of one at 4 mm while the network learns what is where.
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
PATCHES = {6.0: (32, 48, 64), 5.0: (32, 48, 80), 4.0: (48, 64, 96)}
DEEP = (1, 2)
# Large and easy classes count less in the cross-entropy, small organs more.
BONES = [classes.NAMES.index(n) for n in ("vertebrae", "sacrum", "ribs_sternum", "hips", "femurs",
                                          "shoulder_girdle")]  # fmt: skip
WEIGHT = torch.ones(classes.COUNT)
for _name, _w in {"outside": 0.3, "soft_tissue": 0.4, "spleen": 1.3, "kidneys": 1.3, "stomach": 1.3,
                  "pancreas": 1.3, "sacrum": 1.3, "spinal_cord": 1.3}.items():  # fmt: skip
    WEIGHT[classes.NAMES.index(_name)] = _w


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

    def patch(self, spacing):
        r = self.rng
        size = PATCHES[spacing]
        img, cls = self.block()
        zoom = spacing / BLOCK_MM * (r.uniform(0.85, 1.05) if spacing > BLOCK_MM else 1.0)
        need = [min(n, max(int(round(s * zoom)), 4)) for s, n in zip(size, img.shape)]
        o = [r.randint(0, n - m) for n, m in zip(img.shape, need)]
        sl = tuple(slice(a, a + m) for a, m in zip(o, need))
        img, cls = torch.from_numpy(img[sl].copy())[None, None], torch.from_numpy(cls[sl].copy())
        if need != list(size):
            img = F.interpolate(img, size=size, mode="trilinear", align_corners=False)
            cls = F.interpolate(cls[None, None].float(), size=size, mode="nearest")[0, 0]
        img, cls = self.change(img, cls.long())
        return normalize(img), cls[None]

    def change(self, img, cls):
        """Cheap changes, so that a block seen again is not the same."""
        r = self.rng
        if r.random() < 0.7:  # bone denser or paler, every organ a little lighter or darker
            table = torch.tensor([r.gauss(0, 10) for _ in range(256)])
            gain = torch.ones(256)
            gain[BONES] = r.uniform(0.85, 1.9)
            gain[0] = 1.0
            table[0] = 0
            img = torch.where(img > -150, img.clamp(max=0) + img.clamp(min=0) * gain[cls] + table[cls], img)
        if r.random() < 0.6:
            img = img * r.uniform(0.9, 1.1) + r.uniform(-25, 25)
        if r.random() < 0.3:
            img = img + torch.randn_like(img) * r.uniform(0, 25)
        if r.random() < 0.35:  # cut the field of view: what is outside is padding
            for axis in range(3):
                if r.random() < 0.5:
                    n = img.shape[2 + axis]
                    keep = r.randint(n // 3, n)
                    a = r.randint(0, n - keep)
                    for lo, hi in ((0, a), (a + keep, n)):
                        img.narrow(2 + axis, lo, hi - lo).fill_(-1024)
                        cls.narrow(axis, lo, hi - lo).fill_(0)
        return img, cls


def loss_of(logits, y):
    """Weighted cross-entropy + soft Dice over the classes present, without one-hot tensors."""
    valid = y != classes.IGNORE
    yc = torch.where(valid, y, torch.zeros_like(y))
    logp = logits.log_softmax(1)
    py = logp.gather(1, yc[:, None])[:, 0]
    w = WEIGHT[yc] * valid
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


def total_loss(outs, y):
    loss, dice = loss_of(outs[0], y)
    for k, o in enumerate(outs[1:]):
        s = 2 ** (k + 1)
        loss = loss + 0.5 ** (k + 1) * loss_of(o, y[:, s // 2 :: s, s // 2 :: s, s // 2 :: s])[0]
    return loss, dice


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
        keep = min(0.99, (it + 1) / (it + 10))
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
            state = torch.load(start_from) if start_from else {"net": {}, "ema": {}}
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
    plan = [(float(e.split(":", 1)[0]), clock(e.split(":", 1)[1])) for e in args.plan.split(",")]
    start, end = float(shared.start), plan[-1][1]
    while time.time() < end:
        spacing = next(s for s, until in plan if time.time() < until)
        f = min(1.0, (time.time() - start) / (end - start))
        lr = args.lr * min(1, (int(shared.it) + 1) / 100) * max(0.01, 0.5 * (1 + math.cos(math.pi * f)))
        # Two patches at a time: torch 1.13 falls to a slow 3D convolution at batch 1 in deep stages.
        xs, ys = zip(*[pool.patch(spacing) for _ in range(2)])
        grad.zero_()
        loss, dice = total_loss(net(torch.cat(xs), deep=DEEP), torch.cat(ys))
        loss.backward()
        with lock:
            shared.adamw(grad, lr)
            shared.sum += torch.tensor([loss.item(), dice, 1.0])
            it = int(shared.it)
            if it % 20 == 0:
                s = shared.sum
                entry = dict(time=time.strftime("%H:%M:%S"), it=it, mm=spacing, lr=round(lr, 6),
                             loss=round(float(s[0] / s[2]), 4), dice=round(float(s[1] / s[2]), 4),
                             cpu_s=round(time.process_time()))  # fmt: skip
                with open(args.run / "log.jsonl", "a") as out:
                    out.write(json.dumps(entry) + "\n")
                s.zero_()
            if it % 50 == 0:
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
    ap.add_argument("--plan", required=True, help="MM:HH:MM,...: spacing until that time; the last ends the run")
    ap.add_argument("--start-from", type=pathlib.Path, help="checkpoint for a new run's first weights")
    ap.add_argument("--lr", type=float, default=1.5e-3)
    ap.add_argument("--seed", type=int, default=3)
    ap.add_argument("--workers", type=int, default=2)
    train(ap.parse_args())
