"""ResidualEncoderUNet, and small random networks of it with torch's exact logits for the engine's parity test.

A restatement of dynamic_network_architectures' ResidualEncoderUNet with BasicBlockD as nnU-Net v2's ResEnc presets
use it, from its public documentation and source: that package is not needed. State-dict keys are its own.
"""

import argparse
import json
import pathlib

import torch
from torch import nn

import net as netlib


class ConvNorm(nn.Module):
    """conv -> instance norm; no activation."""

    def __init__(self, cin, cout, kernel, stride, bias, eps):
        super().__init__()
        self.conv = nn.Conv3d(cin, cout, kernel, stride, [k // 2 for k in kernel], bias=bias)
        self.norm = nn.InstanceNorm3d(cout, eps=eps, affine=True)

    def forward(self, x):
        return self.norm(self.conv(x))


class BasicBlockD(nn.Module):
    """He et al. 2019 (ResNet-D): the skip averages over the stride, then projects if the width changes."""

    def __init__(self, cin, cout, kernel, stride, slope, eps):
        super().__init__()
        one = [1] * len(kernel)
        self.conv1 = netlib.ConvBlock(cin, cout, kernel, stride, slope, eps)
        self.conv2 = ConvNorm(cout, cout, kernel, one, True, eps)
        skip = [nn.AvgPool3d(stride, stride)] if any(s != 1 for s in stride) else []
        if cin != cout:
            skip.append(ConvNorm(cin, cout, one, one, False, eps))
        self.skip = nn.Sequential(*skip)
        self.slope = slope

    def forward(self, x):
        return nn.functional.leaky_relu(self.conv2(self.conv1(x)) + self.skip(x), self.slope)


class ResidualStage(nn.Module):
    def __init__(self, cin, stage, slope, eps):
        super().__init__()
        cout, kernel = stage["features"], stage["kernel"]
        one = [1] * len(kernel)
        self.blocks = nn.Sequential(
            *[
                BasicBlockD(cin if i == 0 else cout, cout, kernel, one if i else stage["stride"], slope, eps)
                for i in range(stage["blocks"])
            ]
        )

    def forward(self, x):
        return self.blocks(x)


class ResidualEncoder(nn.Module):
    def __init__(self, cin, stages, slope, eps):
        super().__init__()
        first = stages[0]
        self.stem = netlib.Stage(cin, first["features"], first["kernel"], [1, 1, 1], 1, slope, eps)
        cin, mods = first["features"], []
        for s in stages:
            mods.append(ResidualStage(cin, s, slope, eps))
            cin = s["features"]
        self.stages = nn.Sequential(*mods)

    def forward(self, x):
        x, skips = self.stem(x), []
        for m in self.stages:
            x = m(x)
            skips.append(x)
        return skips


class ResidualEncoderUNet(nn.Module):
    def __init__(self, arch):
        super().__init__()
        slope, eps = arch["activation"]["slope"], arch["norm"]["eps"]
        self.encoder = ResidualEncoder(arch["input_channels"], arch["stages"], slope, eps)
        self.decoder = netlib.Decoder(arch["stages"], arch["decoder_convs"], arch["classes"], slope, eps)

    def forward(self, x):
        return self.decoder(self.encoder(x), ())[0]


def architecture(channels, classes, features, blocks, kernels, strides, decoder_convs=None):
    """The "architecture" object of model.json."""
    arch = netlib.architecture(classes, features, blocks, decoder_convs or [1] * (len(features) - 1), strides)
    arch.update(type="ResidualEncoderUNet", input_channels=channels)
    for stage, kernel in zip(arch["stages"], kernels):
        stage["blocks"] = stage.pop("convs")
        stage["kernel"] = kernel
    return arch


def random_network(arch, seed):
    """A network with random weights that keep activations near unit size, biases and norms away from 0 and 1."""
    torch.manual_seed(seed)
    net = ResidualEncoderUNet(arch).eval()
    with torch.no_grad():
        for name, p in net.named_parameters():
            if name.endswith("bias"):
                p.normal_(0, 0.3)
            elif ".norm." in name:
                p.uniform_(0.5, 1.5)
            else:
                nn.init.kaiming_normal_(p, a=0.01)
    return net


GOLDEN = architecture(
    2, 4, [4, 6, 6, 8], [1, 3, 2, 1], [[1, 3, 3], [3, 3, 3], [3, 3, 3], [3, 3, 3]],
    [[1, 1, 1], [1, 2, 2], [2, 2, 2], [2, 1, 2]],
)  # fmt: skip


def main():
    ap = argparse.ArgumentParser(description=__doc__)
    ap.add_argument("folder", type=pathlib.Path, help="where it goes, e.g. tests/golden/resenc_tiny")
    ap.add_argument("--seed", type=int, default=3)
    args = ap.parse_args()
    args.folder.mkdir(parents=True, exist_ok=True)
    net, shape = random_network(GOLDEN, args.seed), (8, 12, 16)
    x = torch.randn(1, GOLDEN["input_channels"], *shape)
    with torch.no_grad():
        logits = net(x)
    netlib.save_safetensors(args.folder / "weights.safetensors", netlib.export_state(net))
    x.numpy().astype("<f4").tofile(args.folder / "input.bin")
    logits.numpy().astype("<f4").tofile(args.folder / "logits.bin")
    card = {"architecture": GOLDEN, "inference": {"patch_size": list(shape)}}
    (args.folder / "model.json").write_text(json.dumps(card, indent=1) + "\n")
    print(f"{args.folder}: {sum(f.stat().st_size for f in args.folder.iterdir())} bytes")


if __name__ == "__main__":
    main()
