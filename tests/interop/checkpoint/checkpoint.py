"""Checkpoints read by us and by PyTorch: every tensor bit for bit, every plain value. Those of tests/golden, and
nnU-Net's own where that data is at hand. Usage: checkpoint.py CHECKPOINT_CLI"""

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
import golden_checkpoint  # noqa: E402


def call(cli, *args):
    return json.loads(subprocess.run([cli, *map(str, args)], check=True, capture_output=True, text=True).stdout)


def check_tensors(cli, path, state, folder):
    raw = folder / "raw"
    ours = call(cli, "tensors", path, "network_weights", raw)
    values, at = np.fromfile(raw, "<f4"), 0
    wanted = {k: v.detach().float().numpy() for k, v in state.items() if v.is_floating_point()}
    assert [t["name"] for t in ours] == sorted(wanted), path
    for t in ours:
        expected = np.array(wanted[t["name"]], order="C")
        assert list(expected.shape) == t["shape"], (path, t)
        got = values[at : at + expected.size]
        assert got.tobytes() == expected.tobytes(), (path, t["name"])
        at += expected.size
    assert at == len(values)
    places = {}
    for t in ours:  # one storage, one place
        tensor = state[t["name"]]
        if tensor.dtype == torch.float32 and tensor.is_contiguous():
            places.setdefault((tensor.storage().data_ptr(), tensor.storage_offset()), set()).add(t["at"])
    assert all(len(p) == 1 for p in places.values()), path
    return len(ours), len(places)


def check(cli, path, folder):
    content = torch.load(path, map_location="cpu")
    tensors, places = check_tensors(cli, path, content["network_weights"], folder)
    plain = 0
    for key, value in content.items():
        try:
            expected = golden_checkpoint.plain(value)
        except TypeError:
            continue
        ours = call(cli, "plain", path, key)
        assert ours == expected, (path, key, ours, expected)
        plain += 1
    print(f"{path.parent.name}/{path.name}: {tensors} tensors in {places} places and {plain} plain values agree")


def check_memory(cli, folder):
    """A large checkpoint in which every layer has two names takes one copy of its weights."""
    path = folder / "large.pth"
    layers = [torch.rand(256, 256, 3, 3, 3) for _ in range(14)]  # 99 MB
    torch.save({"network_weights": {f"{n}.{i}": t for i, t in enumerate(layers) for n in "ab"}}, path)
    ours = call(cli, "time", path, "network_weights")
    assert ours["tensors"] == 28 and ours["file_bytes"] > 99e6
    assert ours["peak_rss_bytes"] < 1.25 * ours["file_bytes"] + 32e6, ours  # room for a sanitizer's shadow
    print(f"{ours['file_bytes'] / 1e6:.1f} MB in {ours['seconds']} s, peak {ours['peak_rss_bytes'] / 1e6:.1f} MB")


def main():
    cli = sys.argv[1]
    golden = ROOT / "tests/golden/checkpoint"
    paths = [golden / n for n in ("nnunet.pth", "protocol4.pth", "dtypes.pth")]
    found = sorted(DATA.glob("golden_nnunet/*/model/*/*/fold_*/checkpoint_final.pth"))
    with tempfile.TemporaryDirectory() as tmp:
        for path in paths + found:
            check(cli, path, pathlib.Path(tmp))
        fresh = pathlib.Path(tmp) / "fresh.pth"  # this PyTorch's writing of today
        torch.save(golden_checkpoint.nnunet(), fresh)
        check(cli, fresh, pathlib.Path(tmp))
        check_memory(cli, pathlib.Path(tmp))
    if not found:
        print("nnU-Net's own checkpoints: skipped, the data is not here")


main()
