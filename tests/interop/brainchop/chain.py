"""The whole chain of a brainchop network, from an image file to a label map, against numpy, scipy and PyTorch: conforming,
scaling, the network, the largest component, labels back on the image's own grid. Restated here from the public
descriptions of FastSurfer's and niimath's conforming and of brainchop's scaling, not from our C code.
Usage: chain.py FABRICA [--network FOLDER IMAGE]

Without arguments: a random network on a made-up head, oblique and anisotropic, 16 bit; and model5_gw_ae on the published T1
where that data is at hand (PyTorch there on a box with the network's reach around it; --network: on all of it)."""

import json
import os
import pathlib
import subprocess
import sys
import tempfile

import nibabel
import numpy as np
import torch
from scipy import ndimage

ROOT = pathlib.Path(os.environ["FAB_SOURCE_ROOT"])
DATA = pathlib.Path(os.environ.get("FAB_SHARED_DATA", ROOT / "../shared/data")) / "weights/brainchop"
sys.path[:0] = [str(ROOT / "train"), str(ROOT / "tests/interop/nn")]
import golden_sequential as golden  # noqa: E402
import meshnet  # noqa: E402
import net as netlib  # noqa: E402

SIZE, SLAB = 256, 64


def conformed_affine(image):
    """RAS affine of the cube: columns x to the left, y down, z to the front, around the image's middle."""
    affine = np.array([[-1.0, 0, 0, 0], [0, 0, 1, 0], [0, -1, 0, 0], [0, 0, 0, 1]])
    middle = image.affine @ [*(np.array(image.shape) / 2), 1]
    affine[:3, 3] = middle[:3] - affine[:3, :3] @ np.full(3, SIZE / 2)
    return affine


def conform(image):
    """Bytes [x, y, z] of the cube, and its affine."""
    values = image.get_fdata()
    affine = conformed_affine(image)
    same = image.shape == (SIZE,) * 3 and np.abs(image.affine - affine).max() < 1e-3
    if image.get_data_dtype() == np.uint8 and same:
        return values, affine
    low, high = values.min(), values.max()
    width = (high - low) / 1000
    counts = np.bincount(np.minimum(((values - low) / width).astype(int), 999).ravel(), minlength=1000)
    wanted = values.size - int((1 - 0.98) * np.count_nonzero(values))
    at = max(int(np.argmax(np.cumsum(counts) >= wanted)) - 1, 0)
    scaled = np.clip(255 / (at * width) * (values - low), 0, 255)
    voxel = np.linalg.inv(image.affine) @ affine
    out = ndimage.affine_transform(scaled, voxel[:3, :3], voxel[:3, 3], (SIZE,) * 3, order=1, mode="constant", cval=0)
    return np.rint(out), affine


def scaled(volume, spec):
    if "5% quantile" in spec.get("_comment", ""):
        low, high = np.quantile(volume, [0.05, 0.95])
        return ((volume - low) / (high - low)).astype("f4")
    if "weightsManifest" in spec:
        return ((volume - volume.min()) / (volume.max() - volume.min())).astype("f4")
    low, high = np.quantile(volume, [0.02, 0.98])
    return np.clip((volume - low) / (high - low + 1e-3), 0, 1).astype("f4")


def layers_of(folder):
    spec = json.loads((folder / "model.json").read_text())
    if "weightsManifest" in spec:
        return spec, golden.tfjs_layers(spec, np.fromfile(folder / "model.bin", "<f4"))
    return spec, meshnet.meshnet_layers(spec, netlib.load_safetensors(folder / "model.pth"))


def classes(layers, x, box):
    """The class of every voxel of a box; around it lies what the network can see."""
    reach = sum(max(layer[2]) * (layer[0].shape[2] // 2) for layer in layers)
    low = [max(b.start - reach, 0) for b in box]
    high = [min(b.stop + reach, SIZE) for b in box]
    part = np.ascontiguousarray(x[tuple(slice(a, b) for a, b in zip(low, high))])
    labels = golden.run(layers, part[None]).argmax(0).astype("u1")
    return labels[tuple(slice(b.start - a, b.stop - a) for b, a in zip(box, low))]


def largest(labels):
    """What is joined to the largest component of all classes, 26 neighbours."""
    parts, count = ndimage.label(labels > 0, np.ones((3, 3, 3)))
    if count < 2:
        return labels
    return np.where(parts == np.bincount(parts.ravel())[1:].argmax() + 1, labels, 0)


def back(labels, affine, image):
    voxel = np.linalg.inv(affine) @ image.affine
    at = np.indices(image.shape).reshape(3, -1)
    at = np.floor(voxel[:3, :3] @ at + voxel[:3, 3:] + 0.5).astype(int)
    inside = ((at >= 0) & (at < SIZE)).all(0)
    out = np.zeros(at.shape[1], "u1")
    out[inside] = labels[tuple(at[:, inside])]
    return out.reshape(image.shape)


def ours(fabrica, folder, path, work):
    env = {**os.environ, "XDG_DATA_HOME": str(work)}
    name = folder.name
    for args in (["model", "add", folder, "--models", work / "models"],
                 ["segment", path, "--models", work / "models", "-m", name, "-o", work / (name + ".nii.gz"), "--json"]):  # fmt: skip
        said = subprocess.run([str(a) for a in (fabrica, *args)], check=True, env=env, capture_output=True, text=True).stdout
    summary = json.loads(said)
    image = nibabel.load(work / (name + ".nii.gz"))
    print(f"{name}: {summary['run']['cpu_s']:.1f} CPU s, peak {summary['run']['peak_rss_bytes'] / 2**20:.0f} MiB")
    print(" ", summary["notes"])
    for row in summary["structures"]:
        print(f"  {row['name']}: {row['volume_ml']:.2f} ml, confidence {row['confidence']:.3f}")
    return np.asarray(image.dataobj), summary


def compare(fabrica, folder, path, work, box=None):
    """Voxels that differ: of the whole image, or (box, of the cube; the image must be that cube) of the box, where ours may
    also have removed what is not joined to the brain."""
    image = nibabel.load(path)
    spec, layers = layers_of(folder)
    volume, affine = conform(image)
    x = scaled(volume, spec)
    got, summary = ours(fabrica, folder, path, work)
    if box is None:
        slabs = [slice(z, z + SLAB) for z in range(0, SIZE, SLAB)]
        raw = np.concatenate([classes(layers, x, (s, slice(0, SIZE), slice(0, SIZE))) for s in slabs])
        expected = back(largest(raw), affine, image)
        other = int((got != expected).sum())
    else:
        expected, got = classes(layers, x, box), got[box]
        other = int(((got != expected) & (got != 0)).sum()) + int(((got == 0) & (largest(expected) != 0)).sum())
    print(f"{folder.name}: {other} of {got.size} voxels differ; {np.bincount(expected.ravel()).tolist()}", flush=True)
    return other


def head(path):
    """Smooth noise in an ellipsoid, 16 bit, turned by 17 degrees about an odd axis, voxels of 1.1 x 0.8 x 1.7 mm."""
    rng = np.random.default_rng(7)
    shape, mm = (140, 190, 110), np.array([1.1, 0.8, 1.7])
    noise = ndimage.gaussian_filter(rng.normal(size=shape), 4)
    at = np.stack(np.meshgrid(*[(np.arange(n) - n / 2) * s for n, s in zip(shape, mm)], indexing="ij"))
    inside = ((at / np.array([62, 70, 82])[:, None, None, None]) ** 2).sum(0) < 1
    values = np.where(inside, 900 + 9000 * noise, 20 + 5 * rng.normal(size=shape)).clip(0).astype("i2")
    axis, turn = np.array([1, 2, -1]) / 6**0.5, np.deg2rad(17)
    k = np.array([[0, -axis[2], axis[1]], [axis[2], 0, -axis[0]], [-axis[1], axis[0], 0]])
    affine = np.eye(4)
    affine[:3, :3] = (np.eye(3) + np.sin(turn) * k + (1 - np.cos(turn)) * k @ k) @ np.diag(mm) @ np.diag([1, -1, 1])
    affine[:3, 3] = [12.5, -30.25, 7.75]
    nibabel.save(nibabel.Nifti1Image(values, affine), path)


def network(folder):
    """Three dilated layers of random weights in brainchop's own form; its last bias makes most of it background."""
    rng = np.random.default_rng(12)
    plan = [(1, 4, 3, 1), (4, 4, 3, 3), (4, 4, 1, 1)]
    layers, state = [], {}
    for i, (cin, cout, k, d) in enumerate(plan):
        layers.append({"in_channels": cin, "out_channels": cout, "kernel_size": k, "padding": k // 2 * d, "stride": 1,
                       "dilation": d})  # fmt: skip
        state[f"model.{2 * i}.weight"] = rng.normal(0, (2 / (cin * k**3)) ** 0.5, (cout, cin, k, k, k)).astype("f4")
        state[f"model.{2 * i}.bias"] = rng.normal(0, 0.1, cout).astype("f4")
    state["model.4.bias"][0] += 0.6
    folder.mkdir()
    (folder / "model.json").write_text(json.dumps({"bnorm": False, "bias": True, "dropout_p": 0, "layers": layers}))
    (folder / "colormap.json").write_text(json.dumps({"labels": ["BG", "Left-Thalamus", "grey matter", "lesion 1"]}))
    netlib.save_safetensors(folder / "model.pth", state)


def main():
    fabrica = sys.argv[1]
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as tmp:
        work = pathlib.Path(tmp)
        if sys.argv[2:3] == ["--network"]:
            return compare(fabrica, pathlib.Path(sys.argv[3]), sys.argv[4], work)
        network(work / "random")
        head(work / "head.nii.gz")
        other = compare(fabrica, work / "random", work / "head.nii.gz", work)
        if (DATA / "model5_gw_ae").is_dir():
            box = (slice(90, 154), slice(80, 144), slice(90, 140))
            other += compare(fabrica, DATA / "model5_gw_ae", DATA / "t1_crop.nii.gz", work, box)
        else:
            print("model5_gw_ae: skipped, the data is not here")
    return other != 0


if __name__ == "__main__":
    sys.exit(main())
