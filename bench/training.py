#!/usr/bin/env python3
"""Training iterations (forward, loss, gradients) of the engine against PyTorch, in turns, by CPU time; JSON out.

    bench/training.py BUILD [--patch Z Y X] [--features 8,32,64,128,192] [--classes N] [--rounds N]

PyTorch gets what suits it best: two patches at a time (its 1.13 takes a slow path for one), settings that keep the
allocator from giving pages back. Skips (exit 77) where there is no torch.
"""

import argparse
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time

SETTINGS = {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": "-1", "MALLOC_TOP_PAD_": "268435456"}
if any(os.environ.get(k) != v for k, v in SETTINGS.items()):
    os.execvpe(sys.executable, [sys.executable, *sys.argv], {**os.environ, **SETTINGS})

try:
    import numpy as np
    import torch
except ImportError:
    print("skipped: this Python has no torch", file=sys.stderr)
    sys.exit(77)

ROOT = pathlib.Path(__file__).resolve().parent.parent
os.environ.setdefault("FAB_SOURCE_ROOT", str(ROOT))
sys.path[:0] = [str(ROOT / "train"), str(ROOT / "tests/interop/nn")]
import net as netlib  # noqa: E402
import gradients as reference  # noqa: E402


def torch_round(net, x, y, weight):
    cpu, wall = time.process_time(), time.perf_counter()
    logits = net(x)
    loss = 0
    for one, labels in zip(logits, y):
        ce, dice = reference.loss_of(one, labels, weight)
        loss = loss + ce + 1 - dice
    net.zero_grad()
    loss.backward()
    return (time.process_time() - cpu) / len(x), (time.perf_counter() - wall) / len(x)


def main():
    p = argparse.ArgumentParser()
    p.add_argument("build", type=pathlib.Path, nargs="?", default=os.environ.get("FAB_BUILD_ROOT", "build"))
    p.add_argument("--patch", nargs=3, type=int, default=[32, 64, 80])
    p.add_argument("--features", default="8,32,64,128,192")
    p.add_argument("--classes", type=int, default=23)
    p.add_argument("--rounds", type=int, default=3)
    o = p.parse_args()
    features = [int(f) for f in o.features.split(",")]
    down = [[1, 1, 1]] + [[2, 2, 2]] * (len(features) - 1)
    torch.manual_seed(1)
    arch = netlib.architecture(o.classes, features, [2] * len(features), [2] * (len(features) - 1), down)
    net = netlib.PlainConvUNet(arch)
    x = torch.randn(2, 1, *o.patch)
    y = torch.from_numpy(np.random.default_rng(2).integers(0, o.classes, (2, *o.patch)))
    weight = torch.ones(o.classes)
    ours, theirs = [], []
    with tempfile.TemporaryDirectory() as tmp:
        state = {k: np.ascontiguousarray(v) for k, v in netlib.export_state(net).items()}
        reference.STEPS = 4
        for _ in range(o.rounds):
            rows = reference.ours(pathlib.Path(o.build) / "tests/interop/nn/train_cli", pathlib.Path(tmp), arch, state, x[0], y[0], weight)[1]
            ours.append(min(r[2] for r in rows[1:]))
            theirs.append(min(torch_round(net, x, y, weight) for _ in range(2)))
    best = min(t[0] for t in theirs)
    print(json.dumps({
        "patch": o.patch, "features": features, "classes": o.classes, "torch": torch.__version__,
        "ours_cpu_s": min(ours), "torch_cpu_s": round(best, 4), "torch_wall_s": round(min(t[1] for t in theirs), 4),
        "ratio": round(best / min(ours), 2)}, indent=1))  # fmt: skip


if __name__ == "__main__":
    main()
