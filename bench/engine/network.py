"""The network every engine runs: TotalSegmentator's widths, random weights, one patch of noise.

write() leaves in a folder, all little-endian:
  architecture.json    as in a model card (docs/formats/model.md)
  weights.safetensors  nnU-Net's names, float32
  input.f32            [1][z][y][x]
"""

import json
import pathlib

FEATURES = [32, 64, 128, 256, 320, 320]
# patch, classes, strides of the stages after the first
SETS = {
    "1.5mm": ([128, 128, 128], 25, [[2, 2, 2]] * 5),
    "3mm": ([112, 112, 128], 118, [[2, 2, 2]] * 4 + [[1, 1, 2]]),
    "tiny": ([32, 32, 64], 5, [[2, 2, 2]] * 4 + [[1, 1, 2]]),
}


def architecture(name):
    _, classes, strides = SETS[name]
    stages = [
        {"features": f, "kernel": [3, 3, 3], "stride": s, "convs": 2}
        for f, s in zip(FEATURES, [[1, 1, 1], *strides])
    ]
    return {
        "type": "PlainConvUNet",
        "input_channels": 1,
        "classes": classes,
        "stages": stages,
        "decoder_convs": [2] * (len(stages) - 1),
        "norm": {"type": "instance", "eps": 1e-5, "affine": True},
        "activation": {"type": "leaky_relu", "slope": 0.01},
        "conv_bias": True,
    }


def shapes(arch):
    """(name, shape, standard deviation, mean) of every tensor: activations stay near unit size."""
    width = 1
    stages = arch["stages"]

    def conv(prefix, cin, cout):
        yield f"{prefix}.conv.weight", (cout, cin, 3, 3, 3), (2 / (27 * cin)) ** 0.5, 0
        yield f"{prefix}.conv.bias", (cout,), 0.3, 0
        yield f"{prefix}.norm.weight", (cout,), 0.2, 1
        yield f"{prefix}.norm.bias", (cout,), 0.3, 0

    for s, stage in enumerate(stages):
        for i in range(2):
            yield from conv(f"encoder.stages.{s}.0.convs.{i}", width, stage["features"])
            width = stage["features"]
    for t, (low, skip) in enumerate(zip(stages[:0:-1], stages[-2::-1])):
        a, b = low["features"], skip["features"]
        yield f"decoder.transpconvs.{t}.weight", (a, b, *low["stride"]), (1 / a) ** 0.5, 0
        yield f"decoder.transpconvs.{t}.bias", (b,), 0.3, 0
        yield from conv(f"decoder.stages.{t}.convs.0", 2 * b, b)
        yield from conv(f"decoder.stages.{t}.convs.1", b, b)
    last, width = len(stages) - 2, stages[0]["features"]
    yield f"decoder.seg_layers.{last}.weight", (arch["classes"], width, 1, 1, 1), (1 / width) ** 0.5, 0
    yield f"decoder.seg_layers.{last}.bias", (arch["classes"],), 0.3, 0


def gflop(arch, patch):
    """Two for every multiply-add of a convolution, over all of one patch."""
    stages, total, voxels, sizes = arch["stages"], 0, 1, []
    for n in patch:
        voxels *= n
    width = arch["input_channels"]
    for stage in stages:
        z, y, x = stage["stride"]
        voxels //= z * y * x
        sizes.append(voxels)
        total += 27 * voxels * stage["features"] * (width + stage["features"])
        width = stage["features"]
    for low, skip, n in zip(stages[:0:-1], stages[-2::-1], sizes[-2::-1]):
        total += n * low["features"] * skip["features"] + 27 * n * skip["features"] ** 2 * 3
    return 2e-9 * (total + sizes[0] * stages[0]["features"] * arch["classes"])


def write(folder, name):
    import numpy as np

    folder = pathlib.Path(folder)
    arch, patch, rng = architecture(name), SETS[name][0], np.random.default_rng(1)
    header, parts, at = {}, [], 0
    for tensor, shape, spread, mean in shapes(arch):
        values = (mean + spread * rng.standard_normal(shape)).astype("<f4")
        header[tensor] = {"dtype": "F32", "shape": list(shape), "data_offsets": [at, at + values.nbytes]}
        parts.append(values)
        at += values.nbytes
    text = json.dumps(header).encode()
    with open(folder / "weights.safetensors", "wb") as f:
        f.write(len(text).to_bytes(8, "little") + text)
        for values in parts:
            f.write(values.tobytes())
    (folder / "architecture.json").write_text(json.dumps(arch))
    rng.standard_normal(patch).astype("<f4").tofile(folder / "input.f32")


def read_weights(folder):
    """name -> float32 array, of weights.safetensors."""
    import numpy as np

    data = (pathlib.Path(folder) / "weights.safetensors").read_bytes()
    size = int.from_bytes(data[:8], "little")
    header = json.loads(data[8:8 + size])
    return {
        name: np.frombuffer(data, "<f4", offset=8 + size + t["data_offsets"][0], count=int(np.prod(t["shape"])))
        .reshape(t["shape"]).copy()
        for name, t in header.items()
    }
