#!/usr/bin/env python3
"""Our network engine against PyTorch on the same network, interleaved, by CPU time; JSON out.

    bench/engine.py BUILD [--patch Z Y X] [--features 16,32,64,128,192] [--classes N] [--rounds N]

PyTorch runs the patch alone and as half of a batch of two (its 1.13 takes a slow path for some layers of a
batch of one); the better of both counts. Skips (exit 77) where there is no torch.
"""

import argparse
import json
import os
import pathlib
import subprocess
import sys
import time

try:
    import torch
    from torch import nn
except ImportError:
    print("skipped: this Python has no torch", file=sys.stderr)
    sys.exit(77)


class Block(nn.Sequential):
    def __init__(self, cin, cout, stride):
        super().__init__(
            nn.Conv3d(cin, cout, 3, stride, 1), nn.InstanceNorm3d(cout, affine=True), nn.LeakyReLU(0.01, True)
        )


class UNet(nn.Module):
    """What bench_nn builds: two convolutions a stage, stride 2 from the second stage on."""

    def __init__(self, features, classes):
        super().__init__()
        wide = [1, *features]
        self.down = nn.ModuleList(
            nn.Sequential(Block(wide[i], f, 2 if i else 1), Block(f, f, 1)) for i, f in enumerate(features)
        )
        pairs = list(zip(features[:0:-1], features[-2::-1]))
        self.up = nn.ModuleList(nn.ConvTranspose3d(a, b, 2, 2) for a, b in pairs)
        self.dec = nn.ModuleList(nn.Sequential(Block(2 * b, b, 1), Block(b, b, 1)) for _, b in pairs)
        self.head = nn.Conv3d(features[0], classes, 1)

    def forward(self, x):
        skips = []
        for stage in self.down:
            x = stage(x)
            skips.append(x)
        for i, up in enumerate(self.up):
            x = self.dec[i](torch.cat((up(x), skips[-2 - i]), 1))
        return self.head(x)


def torch_seconds(net, x):
    cpu, wall = time.process_time(), time.perf_counter()
    net(x)
    return (time.process_time() - cpu) / len(x), (time.perf_counter() - wall) / len(x)


def our_run(args):
    cmd = [args.build / "bench/bench_nn", "best", *args.patch, args.features, args.classes, 1]
    out = subprocess.run([str(c) for c in cmd], check=True, capture_output=True, text=True).stdout
    return json.loads(out)


def main():
    ap = argparse.ArgumentParser(description=__doc__)
    ap.add_argument("build", type=pathlib.Path)
    ap.add_argument("--patch", type=int, nargs=3, default=[64, 64, 96])
    ap.add_argument("--features", default="16,32,64,128,192")
    ap.add_argument("--classes", type=int, default=23)
    ap.add_argument("--rounds", type=int, default=3)
    args = ap.parse_args()
    torch.manual_seed(1)
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    net = UNet([int(f) for f in args.features.split(",")], args.classes).eval()
    inputs = [torch.randn(n, 1, *args.patch) for n in (1, 2)]
    best = {"cpu_s": 1e9, "wall_s": 1e9}
    ours = None
    with torch.no_grad():
        for x in inputs:
            net(x)  # warm up
        for _ in range(args.rounds):
            for x in inputs:
                cpu, wall = torch_seconds(net, x)
                if cpu < best["cpu_s"]:
                    best = {"cpu_s": round(cpu, 4), "wall_s": round(wall, 4), "batch": len(x)}
            run = our_run(args)
            if ours is None or run["cpu_s"] < ours["cpu_s"]:
                ours = run
    best["version"] = torch.__version__
    best["threads"] = torch.get_num_threads()
    best["gflops_per_cpu_s"] = round(ours["gflop"] / best["cpu_s"], 2)
    print(json.dumps({"ours": ours, "torch_fp32": best, "cpu_ratio": round(best["cpu_s"] / ours["cpu_s"], 2)}, indent=1))


if __name__ == "__main__":
    main()
