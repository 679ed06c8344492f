"""Write the small checkpoints of tests/golden/checkpoint and what torch itself reads from them (expected.json)."""

import argparse
import collections
import io
import json
import pathlib
import zipfile

import numpy as np
import torch


def shared_state():
    """A state dict as nnU-Net has it: each layer under several names on one storage."""
    torch.manual_seed(81)
    state = collections.OrderedDict()
    conv, bias, norm = torch.randn(2, 1, 3, 3, 3), torch.randn(2), torch.rand(2) + 0.5
    for prefix in ("", "decoder."):
        for inner in ("conv", "all_modules.0"):
            state[f"{prefix}encoder.stages.0.0.convs.0.{inner}.weight"] = conv
            state[f"{prefix}encoder.stages.0.0.convs.0.{inner}.bias"] = bias
        state[f"{prefix}encoder.stages.0.0.convs.0.norm.weight"] = norm
    state["decoder.seg_layers.0.weight"] = torch.randn(3, 2, 1, 1, 1)
    state["decoder.seg_layers.0.num_batches_tracked"] = torch.tensor(12)
    state._metadata = collections.OrderedDict([("", {"version": 1}), ("encoder", {"version": 1})])
    return state


def nnunet():
    state = shared_state()
    first = next(iter(state.values()))
    return {
        "network_weights": state,
        "optimizer_state": {
            "state": {0: {"momentum_buffer": torch.randn_like(first)}, 1: {"momentum_buffer": None}},
            "param_groups": [{"lr": 0.01, "betas": (0.9, 0.99), "nesterov": True, "params": [0, 1]}],
        },
        "grad_scaler_state": {"scale": 65536.0, "_growth_tracker": 7, "growth_interval": 2000},
        "logging": {
            "mean_fg_dice": [np.float64(0.1), np.float64(0.2)],
            "dice_per_class_or_region": [[np.float32(0.25), np.float32(-1.5)], []],
            "counts": [np.int64(-5), np.uint8(200), np.bool_(True), np.float16(0.5), np.int16(-300)],
            "lrs": [0.01, 0.00999],
            "seconds": [1700000000, 2**40, -(2**40), 65536, -1],
        },
        "_best_ema": np.float64(0.7251),
        "current_epoch": 1000,
        "init_args": {
            "plans": {"dataset_name": "Dataset901_Größe", "patch_size": [64, 64, 48], "none": None},
            "configuration": "3d_fullres",
            "fold": 0,
            "unpack_dataset": True,
            "device": torch.device("cuda:0"),
        },
        "trainer_name": "nnUNetTrainer",
        "inference_allowed_mirroring_axes": (0, 1, 2),
    }


def dtypes():
    torch.manual_seed(82)
    base = torch.randn(4, 3, 2, 2, 2)
    flat = torch.arange(24, dtype=torch.float32)
    half = torch.tensor([1.0, -2.5, 65504.0, 6e-8, 0.0, -0.0, 0.333]).half()
    transposed = base.half().transpose(0, 1)
    state = {
        "half": half,
        "bfloat16": torch.randn(5, 3).bfloat16(),
        "double": torch.tensor([1 / 3, 1e30, -1e-40], dtype=torch.float64),
        "long": torch.arange(3),
        "bool": torch.tensor([True, False]),
        "part": flat[5:11].view(2, 3),
        "whole": flat,
        "every_second": flat[1::2],
        "transposed": transposed,
        "transposed_again": transposed,
        "channels_last": base.to(memory_format=torch.channels_last_3d),
        "scalar": torch.tensor(0.75),
        "parameter": torch.nn.Parameter(torch.randn(2, 2)),
        "axis_of_one": torch.randn(3, 1, 2).transpose(0, 1),
    }
    return {"network_weights": state, "epoch": 3}


def plain(value):
    """As JSON would have it; None where we refuse it, with all above it."""
    if isinstance(value, dict):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, torch.device):
        return str(value)
    if torch.is_tensor(value):
        raise TypeError
    return value


def expected(path):
    """What torch.load reads: tensors of network_weights as fp32, and every plain top-level value."""
    content, out = torch.load(path), {"tensors": {}, "plain": {}}
    for name, t in content["network_weights"].items():
        if t.is_floating_point():
            values = t.detach().float().flatten().tolist()
            out["tensors"][name] = {"shape": list(t.shape), "values": values}
    for key, value in content.items():
        try:
            out["plain"][key] = plain(value)
        except TypeError:
            out["plain"][key] = "a tensor"
    return out


def write_seeds(folder):
    """Pickles for tests/fuzz/fuzz_checkpoint.c, whose storage i holds 8 * (i + 1) bytes."""
    folder.mkdir(parents=True, exist_ok=True)
    floats = {
        "shared": [torch.ones(2)] * 3,
        "views": [torch.ones(2).view(1, 2, 1), torch.ones(2, 2).t(), torch.ones(6)[1::2], torch.ones(8)[3:5]],
        "types": [torch.ones(4).half(), torch.ones(8).bfloat16(), torch.ones(3).double(), torch.ones(4).long()],
        "parameters": [torch.nn.Parameter(torch.ones(2))],
    }
    plain_values = nnunet()
    del plain_values["network_weights"], plain_values["optimizer_state"]
    contents = {k: {"w": collections.OrderedDict(zip("abcd", v)), "k": {"tuple": (1,)}} for k, v in floats.items()}
    contents["plain"] = plain_values
    for name, content in contents.items():
        for protocol in (2, 4):
            whole = io.BytesIO()
            torch.save(content, whole, pickle_protocol=protocol)
            with zipfile.ZipFile(whole) as z:
                (folder / f"{name}{protocol}.pkl").write_bytes(z.read("archive/data.pkl"))
            if name == "views" and protocol == 2:
                (folder / "views.pth").write_bytes(whole.getvalue())


def main():
    ap = argparse.ArgumentParser(description=__doc__)
    ap.add_argument("folder", type=pathlib.Path, help="e.g. tests/golden/checkpoint")
    ap.add_argument("--seeds", type=pathlib.Path, help="for the fuzzer, e.g. tests/fuzz/corpus/fuzz_checkpoint")
    args = ap.parse_args()
    folder = args.folder
    folder.mkdir(parents=True, exist_ok=True)
    if args.seeds:
        write_seeds(args.seeds)
    torch.save(nnunet(), folder / "nnunet.pth")
    torch.save(nnunet(), folder / "protocol4.pth", pickle_protocol=4)
    torch.save(dtypes(), folder / "dtypes.pth")
    answers = {f"{n}.pth": expected(folder / f"{n}.pth") for n in ("nnunet", "protocol4", "dtypes")}
    small = {"network_weights": collections.OrderedDict(w=torch.ones(2))}
    torch.save(small, folder / "legacy.pth", _use_new_zipfile_serialization=False)
    torch.save({"network_weights": torch.nn.Linear(2, 2)}, folder / "module.pth")
    (folder / "expected.json").write_text(json.dumps(answers, indent=1) + "\n")


if __name__ == "__main__":
    main()
