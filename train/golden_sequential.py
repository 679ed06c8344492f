"""A small random TensorFlow.js chain of dilated 3D convolutions with torch's logits, for the engine's parity test."""

import argparse
import json
import pathlib

import numpy as np
import torch
from torch.nn import functional

SHAPE = (9, 11, 13)


def tfjs_layers(spec, data):
    """[(weight, bias, dilation, norm, activation)] of a TF.js chain in torch's order; data: all its floats."""
    at, tensors = 0, {}
    for w in spec["weightsManifest"][0]["weights"]:
        n = int(np.prod(w["shape"]))
        tensors[w["name"]] = torch.from_numpy(data[at : at + n].reshape(w["shape"]).copy())
        at += n
    assert at == len(data)
    out = []
    for layer in spec["modelTopology"]["model_config"]["config"]["layers"]:
        c, name = layer["config"], layer["config"]["name"]
        if layer["class_name"] == "Conv3D":
            weight = tensors[name + "/kernel"].permute(4, 3, 0, 1, 2).contiguous()
            out.append([weight, tensors.get(name + "/bias"), c["dilation_rate"], None, c["activation"]])
        elif layer["class_name"] == "BatchNormalization":
            keys = ("moving_mean", "moving_variance", "gamma", "beta")
            out[-1][3] = [*[tensors[f"{name}/{k}"] for k in keys], c["epsilon"]]
        elif layer["class_name"] == "Activation":
            out[-1][4] = c["activation"]
    return out


def run(layers, x):
    """Logits [classes, z, y, x] of a chain for an input [channels, z, y, x]."""
    acts = {"linear": lambda v: v, "elu": functional.elu_, "relu": functional.relu_}
    x = torch.from_numpy(x)[None]
    with torch.no_grad():
        for weight, bias, dilation, norm, act in layers:
            pad = [k // 2 * d for k, d in zip(weight.shape[2:], dilation)]
            x = functional.conv3d(x, weight, bias, padding=pad, dilation=dilation)
            if norm:
                mean, var, gamma, beta, eps = norm
                x = functional.batch_norm(x, mean, var, gamma, beta, False, 0, eps)
            x = acts[act](x)
    return x[0].numpy()


def random_model(shape, seed=3):
    """model.json, weights and an input: batch norm, ELU and ReLU, anisotropic dilation, two channels."""
    rng = np.random.default_rng(seed)
    layers, weights, values, cin = [], [], [], 2

    def add(kind, name, **config):
        inbound = [[[layers[-1]["name"], 0, 0, {}]]] if layers else []
        layers.append({"class_name": kind, "name": name, "config": {"name": name, **config}, "inbound_nodes": inbound})

    def put(name, shape, mean, sd):
        weights.append({"name": name, "shape": shape, "dtype": "float32"})
        values.append(rng.normal(mean, sd, shape).astype("<f4"))

    add("InputLayer", "input", batch_input_shape=[None, *shape, cin])
    plan = [(12, 3, [1, 1, 1], "relu"), (20, 3, [2, 4, 4], "elu"), (17, 3, [8, 2, 1], "elu"), (5, 1, [1, 1, 1], "linear")]
    for i, (cout, k, dilation, act) in enumerate(plan):
        conv, norm = f"conv{i}", f"norm{i}"
        add("Conv3D", conv, filters=cout, kernel_size=[k] * 3, strides=[1] * 3, dilation_rate=dilation, padding="same",
            data_format="channels_last", activation="linear", use_bias=i != 1)  # fmt: skip
        put(conv + "/kernel", [k, k, k, cin, cout], 0, (2 / (cin * k**3)) ** 0.5)
        if i != 1:
            put(conv + "/bias", [cout], 0, 0.3)
        if i in (1, 2):
            add("BatchNormalization", norm, axis=[4], epsilon=1e-3, scale=True, center=True)
            for part, mean in (("gamma", 1), ("beta", 0), ("moving_mean", 0), ("moving_variance", 2)):
                put(f"{norm}/{part}", [cout], mean, 0.2)
        add("Activation", f"act{i}", activation=act)
        cin = cout
    topology = {"model_config": {"class_name": "Functional", "config": {"name": "m", "layers": layers}}}
    manifest = [{"paths": ["model.bin"], "weights": weights}]
    spec = {"format": "layers-model", "modelTopology": topology, "weightsManifest": manifest}
    return spec, np.concatenate([v.ravel() for v in values]), rng.normal(size=(2, *shape)).astype("<f4")


def main():
    ap = argparse.ArgumentParser(description=__doc__)
    ap.add_argument("folder", type=pathlib.Path, help="where it goes, e.g. tests/golden/sequential_tiny")
    folder = ap.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)
    spec, data, x = random_model(SHAPE)
    (folder / "model.json").write_text(json.dumps(spec) + "\n")
    data.tofile(folder / "model.bin")
    x.tofile(folder / "input.bin")
    run(tfjs_layers(spec, data), x).astype("<f4").tofile(folder / "logits.bin")
    print(f"{folder}: {sum(f.stat().st_size for f in folder.iterdir())} bytes")


if __name__ == "__main__":
    main()
