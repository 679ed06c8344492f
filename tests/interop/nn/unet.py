"""The network engine's logits against PyTorch's, and against nnU-Net's own where that data is at hand.
Usage: unet.py UNET_CLI"""

import json
import os
import pathlib
import subprocess
import sys
import tempfile

import numpy as np
import torch

ROOT = pathlib.Path(os.environ["FAB_SOURCE_ROOT"])
DATA = pathlib.Path(os.environ.get("FAB_SHARED_DATA", ROOT / "../shared/data"))
sys.path.insert(0, str(ROOT / "train"))
import golden_resenc  # noqa: E402
import net as netlib  # noqa: E402

LIMIT = 1e-5


def ours(cli, arch, state, x, folder):
    """Logits [classes, z, y, x] of our engine for an input [channels, z, y, x]."""
    (folder / "model.json").write_text(json.dumps({"architecture": arch}))
    netlib.save_safetensors(folder / "w.safetensors", state)
    np.ascontiguousarray(x, "<f4").tofile(folder / "in.bin")
    names = [folder / n for n in ("model.json", "w.safetensors", "in.bin", "out.bin")]
    subprocess.run([str(a) for a in (cli, *names, *x.shape[1:])], check=True)
    return np.fromfile(folder / "out.bin", "<f4").reshape(arch["classes"], *x.shape[1:])


def compare(name, got, expected):
    d = got.astype(float) - expected
    rms = np.sqrt((d**2).mean() / (expected.astype(float) ** 2).mean())
    same = (got.argmax(0) == expected.argmax(0)).mean()
    print(f"{name}: relative RMS {rms:.3g}, argmax agrees in {100 * same:.4f} %")
    return rms <= LIMIT


def random_network(cli, folder, name, classes, features, kernels, strides, shape, channels=1):
    torch.manual_seed(5)
    arch = netlib.architecture(classes, features, [2] * len(features), [2] * (len(features) - 1), strides)
    arch["input_channels"] = channels
    for stage, kernel in zip(arch["stages"], kernels):
        stage["kernel"] = kernel
    net = netlib.PlainConvUNet(arch).eval()
    with torch.no_grad():
        for key, p in net.named_parameters():
            if key.endswith("bias"):
                p.normal_(0, 0.3)
        x = torch.randn(1, channels, *shape)
        expected = net(x)[0].numpy()
    return compare(name, ours(cli, arch, netlib.export_state(net), x[0].numpy(), folder), expected)


def residual_network(cli, folder, name, channels, classes, features, blocks, kernels, strides, shape):
    arch = golden_resenc.architecture(channels, classes, features, blocks, kernels, strides)
    net = golden_resenc.random_network(arch, 9)
    with torch.no_grad():
        x = torch.randn(1, channels, *shape)
        expected = net(x)[0].numpy()
    return compare(name, ours(cli, arch, netlib.export_state(net), x[0].numpy(), folder), expected)


def architecture_of(plans):
    """Our "architecture" from nnU-Net's plans, old or new form."""
    c = plans["configurations"]["3d_fullres"]
    a = c.get("architecture", {}).get("arch_kwargs")
    if a:
        kernels, strides, features = a["kernel_sizes"], a["strides"], a["features_per_stage"]
        convs, decoder = a["n_conv_per_stage"], a["n_conv_per_stage_decoder"]
    else:
        kernels, strides = c["conv_kernel_sizes"], c["pool_op_kernel_sizes"]
        base, top = c["UNet_base_num_features"], c["unet_max_num_features"]
        features = [min(base * 2**i, top) for i in range(len(kernels))]
        convs, decoder = c["n_conv_per_stage_encoder"], c["n_conv_per_stage_decoder"]
    arch = netlib.architecture(2, features, convs, decoder, strides)
    for stage, kernel in zip(arch["stages"], kernels):
        stage["kernel"] = kernel
    return arch


def golden(cli, folder, case):
    trainer = next((DATA / "golden_nnunet" / case / "model").glob("*/*"))
    arch = architecture_of(json.loads((trainer / "plans.json").read_text()))
    state = torch.load(trainer / "fold_0/checkpoint_final.pth", map_location="cpu")["network_weights"]
    last = len(arch["stages"]) - 2
    wanted = {}
    for key, value in state.items():
        head = key.startswith("decoder.seg_layers.") and not key.startswith(f"decoder.seg_layers.{last}.")
        if ".all_modules." not in key and not key.startswith("decoder.encoder.") and not head:
            wanted[key] = value.float().numpy()
    arch["classes"] = len(wanted[f"decoder.seg_layers.{last}.bias"])
    patch = np.load(DATA / "golden_nnunet" / case / "expected/one_patch.npz")
    x = patch["input"].reshape(-1, *patch["input"].shape[-3:])
    arch["input_channels"] = len(x)
    expected = patch["logits"].reshape(-1, *x.shape[-3:])
    got = ours(cli, arch, wanted, x, folder)[: len(expected)]
    return compare(f"nnU-Net's {case}", got, expected)


def main():
    cli = sys.argv[1]
    ok = True
    with tempfile.TemporaryDirectory() as tmp:
        folder = pathlib.Path(tmp)
        three = [[3, 3, 3]] * 4
        down = [[1, 1, 1], [2, 2, 2], [2, 2, 2], [2, 2, 2]]
        ok &= random_network(cli, folder, "wide", 25, [32, 64, 128, 320], three, down, (32, 32, 40))
        flat, skew = [[1, 3, 3], [3, 3, 3], [3, 3, 3]], [[1, 1, 1], [1, 2, 2], [2, 2, 2]]
        ok &= random_network(cli, folder, "anisotropic", 7, [20, 40, 72], flat, skew, (10, 28, 36), 2)
        for channels in (17, 33, 118):
            ok &= random_network(cli, folder, f"{channels} channels", 7, [20, 40, 72], flat, skew, (10, 28, 36), channels)
        ok &= residual_network(cli, folder, "residual, 33 channels", 33, 3, [32, 64], [1, 1], flat, skew, (10, 28, 36))
        ok &= residual_network(
            cli, folder, "residual", 1, 25, [32, 64, 128, 256], [1, 3, 4, 2], three, down, (32, 32, 40)
        )
        flat, skew = [[1, 3, 3], *three[1:]], [[1, 1, 1], [1, 2, 2], [1, 1, 1], [2, 2, 2]]
        ok &= residual_network(
            cli, folder, "residual, anisotropic", 2, 7, [20, 40, 40, 72], [2, 1, 2, 1], flat, skew, (10, 28, 36)
        )
        ok &= residual_network(
            cli, folder, "residual, projection without pool", 1, 3, [8, 12, 20], [1, 1, 2], flat, skew, (6, 20, 18)
        )
        for case in ("plain_ct", "aniso_mr", "crop_transpose", "reorient_ct"):
            if (DATA / "golden_nnunet" / case).is_dir():
                ok &= golden(cli, folder, case)
            else:
                print(f"nnU-Net's {case}: skipped, the data is not here")
    return 0 if ok else 1


if __name__ == "__main__":
    sys.exit(main())
