"""The network: a plain convolutional U-Net of nnU-Net's kind, and its package format.

Parameter names are those of nnU-Net's PlainConvUNet, so a package written here and a
converted nnU-Net checkpoint look alike to the engine.
"""

import hashlib
import json
import struct

import numpy as np
import torch
from torch import nn


class ConvBlock(nn.Module):
    """conv (with bias) -> instance norm (affine) -> leaky ReLU."""

    def __init__(self, cin, cout, kernel, stride, slope, eps):
        super().__init__()
        pad = [k // 2 for k in kernel]
        self.conv = nn.Conv3d(cin, cout, kernel, stride, pad, bias=True)
        self.norm = nn.InstanceNorm3d(cout, eps=eps, affine=True)
        self.slope = slope

    def forward(self, x):
        return nn.functional.leaky_relu(self.norm(self.conv(x)), self.slope, inplace=True)


class Stage(nn.Module):
    def __init__(self, cin, cout, kernel, stride, convs, slope, eps):
        super().__init__()
        one = [1] * len(kernel)
        self.convs = nn.Sequential(
            *[
                ConvBlock(cin if i == 0 else cout, cout, kernel, stride if i == 0 else one, slope, eps)
                for i in range(convs)
            ]
        )

    def forward(self, x):
        return self.convs(x)


class Encoder(nn.Module):
    def __init__(self, cin, stages, slope, eps):
        super().__init__()
        mods = []
        for s in stages:
            conv = Stage(cin, s["features"], s["kernel"], s["stride"], s["convs"], slope, eps)
            mods.append(nn.Sequential(conv))
            cin = s["features"]
        self.stages = nn.Sequential(*mods)

    def forward(self, x):
        skips = []
        for m in self.stages:
            x = m(x)
            skips.append(x)
        return skips


class Decoder(nn.Module):
    def __init__(self, stages, convs, classes, slope, eps):
        super().__init__()
        up, dec, seg = [], [], []
        for t in range(len(stages) - 1):
            low, skip = stages[-1 - t], stages[-2 - t]
            f = skip["features"]
            up.append(nn.ConvTranspose3d(low["features"], f, low["stride"], low["stride"]))
            dec.append(Stage(2 * f, f, skip["kernel"], [1, 1, 1], convs[t], slope, eps))
            seg.append(nn.Conv3d(f, classes, 1))
        self.transpconvs = nn.ModuleList(up)
        self.stages = nn.ModuleList(dec)
        self.seg_layers = nn.ModuleList(seg)

    def forward(self, skips, deep):
        x = skips[-1]
        outs = []
        last = len(self.stages) - 1
        for t, stage in enumerate(self.stages):
            x = stage(torch.cat((self.transpconvs[t](x), skips[-2 - t]), 1))
            if t == last or t in deep:
                outs.append(self.seg_layers[t](x))
        return outs[::-1]


class PlainConvUNet(nn.Module):
    """forward() gives the logits; with deep = decoder stage numbers, a list, finest first."""

    def __init__(self, arch):
        super().__init__()
        slope = arch["activation"]["slope"]
        eps = arch["norm"]["eps"]
        self.encoder = Encoder(arch["input_channels"], arch["stages"], slope, eps)
        self.decoder = Decoder(arch["stages"], arch["decoder_convs"], arch["classes"], slope, eps)
        for m in self.modules():
            if isinstance(m, (nn.Conv3d, nn.ConvTranspose3d)):
                nn.init.kaiming_normal_(m.weight, a=slope)
                nn.init.zeros_(m.bias)

    def forward(self, x, deep=()):
        outs = self.decoder(self.encoder(x), deep)
        return outs if deep else outs[0]


def architecture(classes, features, convs, decoder_convs, strides=None):
    """The "architecture" object of model.json."""
    n = len(features)
    strides = strides or [[1, 1, 1]] + [[2, 2, 2]] * (n - 1)
    return {
        "type": "PlainConvUNet",
        "input_channels": 1,
        "classes": classes,
        "stages": [
            {"features": features[i], "kernel": [3, 3, 3], "stride": strides[i], "convs": convs[i]}
            for i in range(n)
        ],
        "decoder_convs": list(decoder_convs),
        "norm": {"type": "instance", "eps": 1e-5, "affine": True},
        "activation": {"type": "leaky_relu", "slope": 0.01},
        "conv_bias": True,
    }


def export_state(net):
    """Tensors that go into a package: all but the heads of deep supervision.

    nnU-Net's names carry one more level ("stages.S.0.convs.I"), which Encoder above has too.
    """
    last = len(net.decoder.seg_layers) - 1
    out = {}
    for name, t in net.state_dict().items():
        if name.startswith("decoder.seg_layers.") and not name.startswith(f"decoder.seg_layers.{last}."):
            continue
        out[name] = t.detach().cpu().float().contiguous().numpy()
    return out


def save_safetensors(path, tensors):
    """Write fp32 tensors as a safetensors file: names sorted, so equal weights give equal bytes."""
    header, offset, blobs = {}, 0, []
    for name in sorted(tensors):
        data = np.ascontiguousarray(tensors[name], dtype="<f4")
        header[name] = {
            "dtype": "F32",
            "shape": list(data.shape),
            "data_offsets": [offset, offset + data.nbytes],
        }
        offset += data.nbytes
        blobs.append(data.tobytes())
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as f:
        f.write(struct.pack("<Q", len(text)))
        f.write(text)
        for b in blobs:
            f.write(b)


def load_safetensors(path):
    """Read an fp32 safetensors file into a dictionary of arrays."""
    with open(path, "rb") as f:
        (n,) = struct.unpack("<Q", f.read(8))
        header = json.loads(f.read(n))
        body = f.read()
    out = {}
    for name, e in header.items():
        if name == "__metadata__":
            continue
        if e["dtype"] != "F32":
            raise ValueError(f"{path}: tensor {name} is {e['dtype']}, only F32 is read here")
        a, b = e["data_offsets"]
        out[name] = np.frombuffer(body[a:b], "<f4").reshape(e["shape"])
    return out


def load_package(folder):
    """(card, network in evaluation mode) of a package folder; the hash is checked."""
    card = json.loads((folder / "model.json").read_text())
    path = folder / card["weights"]["file"]
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    if digest != card["weights"]["sha256"]:
        raise ValueError(f"{path}: sha256 is {digest}, the card says {card['weights']['sha256']}")
    net = PlainConvUNet(card["architecture"])
    state = {k: torch.from_numpy(v.copy()) for k, v in load_safetensors(path).items()}
    missing, unexpected = net.load_state_dict(state, strict=False)
    bad = [m for m in missing if not m.startswith("decoder.seg_layers.")] + list(unexpected)
    if bad:
        raise ValueError(f"{path}: tensors do not fit the card: {bad}")
    return card, net.eval()
