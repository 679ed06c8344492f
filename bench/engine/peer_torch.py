#!/usr/bin/python3
"""PyTorch on the network of network.py: one process, one setting; JSON of one timed run out.

    peer_torch.py FOLDER PATCH_Z PATCH_Y PATCH_X --batch 1|2 [--bf16] [--save LOGITS]
    peer_torch.py FOLDER PATCH_Z PATCH_Y PATCH_X --export FILE.onnx

Exits 77 without torch.
"""

import argparse
import json
import os
import resource
import sys
import time

import network

try:
    import torch
    from torch import nn
except ImportError:
    print("skipped: this Python has no torch", file=sys.stderr)
    sys.exit(77)


class Block(nn.Module):
    def __init__(self, cin, cout, stride):
        super().__init__()
        self.conv = nn.Conv3d(cin, cout, 3, stride, 1)
        self.norm = nn.InstanceNorm3d(cout, affine=True)
        self.nonlin = nn.LeakyReLU(0.01, inplace=True)

    def forward(self, x):
        return self.nonlin(self.norm(self.conv(x)))


def stage(cin, cout, stride):
    """With nnU-Net's names: convs.0, convs.1."""
    return nn.ModuleDict({"convs": nn.Sequential(Block(cin, cout, stride), Block(cout, cout, 1))})


class UNet(nn.Module):
    def __init__(self, arch):
        super().__init__()
        stages, width = arch["stages"], arch["input_channels"]
        down = []
        for s in stages:
            down.append(nn.Sequential(stage(width, s["features"], s["stride"])))
            width = s["features"]
        pairs = list(zip(stages[:0:-1], stages[-2::-1]))
        self.encoder = nn.ModuleDict({"stages": nn.ModuleList(down)})
        self.decoder = nn.ModuleDict({
            "transpconvs": nn.ModuleList(
                nn.ConvTranspose3d(a["features"], b["features"], a["stride"], a["stride"]) for a, b in pairs),
            "stages": nn.ModuleList(stage(2 * b["features"], b["features"], 1) for _, b in pairs),
            "seg_layers": nn.ModuleList([nn.Identity() for _ in pairs[1:]]
                                        + [nn.Conv3d(stages[0]["features"], arch["classes"], 1)]),
        })

    def forward(self, x):
        skips = []
        for s in self.encoder["stages"]:
            x = s[0]["convs"](x)
            skips.append(x)
        for i, up in enumerate(self.decoder["transpconvs"]):
            x = self.decoder["stages"][i]["convs"](torch.cat((up(x), skips[-2 - i]), 1))
        return self.decoder["seg_layers"][-1](x)


def timed(net, x, bf16):
    cpu, wall = time.process_time(), time.perf_counter()
    with torch.cpu.amp.autocast(enabled=bf16, dtype=torch.bfloat16):
        y = net(x)
    return y, (time.process_time() - cpu) / len(x), (time.perf_counter() - wall) / len(x)


def main():
    ap = argparse.ArgumentParser(description=__doc__)
    ap.add_argument("folder")
    ap.add_argument("patch", type=int, nargs=3)
    ap.add_argument("--batch", type=int, default=1)
    ap.add_argument("--bf16", action="store_true")
    ap.add_argument("--save")
    ap.add_argument("--export")
    args = ap.parse_args()
    with open(os.path.join(args.folder, "architecture.json")) as f:
        net = UNet(json.load(f)).eval()
    net.load_state_dict({k: torch.from_numpy(v) for k, v in network.read_weights(args.folder).items()})
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    values = torch.from_file(os.path.join(args.folder, "input.f32"), size=torch.Size(args.patch).numel())
    x = values.reshape(1, 1, *args.patch)
    with torch.no_grad():
        if args.export:
            torch.onnx.export(net, x, args.export, opset_version=13, input_names=["x"], output_names=["y"])
            return
        x = x.repeat(args.batch, 1, 1, 1, 1)
        timed(net, x, args.bf16)  # warm up
        y, cpu, wall = timed(net, x, args.bf16)
    if args.save:
        y[0].float().numpy().tofile(args.save)
    print(json.dumps({
        "version": torch.__version__,
        "threads": torch.get_num_threads(),
        "cpu_s": cpu,
        "wall_s": wall,
        "peak_rss_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    }))


if __name__ == "__main__":
    main()
