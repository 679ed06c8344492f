"""nnU-Net v2's inference restated in numpy, scipy and torch, for tests of cascades, 2d and postprocessing.

Nothing of nnU-Net is imported. Arrays are in nnU-Net's order (z, y, x); what goes into a network is [channel, z, y, x].
Sums, quotients and means of logits are rounded to fp16 where nnU-Net keeps them so."""

import itertools
import json
import pathlib

import numpy as np
import torch
from golden_nnunet import gaussian, resample, resize, window_starts
from scipy import ndimage
from torch.nn import functional as F

# ---- the network: PlainConvUNet of either dimension, straight from a state dict -------------------------------------


def block(x, state, name, stride):
    weight = state[name + ".conv.weight"]
    conv = F.conv3d if weight.dim() == 5 else F.conv2d
    x = conv(x, weight, state[name + ".conv.bias"], stride, [k // 2 for k in weight.shape[2:]])
    return F.leaky_relu(F.instance_norm(x, weight=state[name + ".norm.weight"], bias=state[name + ".norm.bias"]), 0.01)


def forward(state, config, x):
    """Logits of one patch [1, channel, ...]."""
    k = config["architecture"]["arch_kwargs"]
    skips, n = [], k["n_stages"]
    for s in range(n):
        for i in range(k["n_conv_per_stage"][s]):
            x = block(x, state, f"encoder.stages.{s}.0.convs.{i}", k["strides"][s] if i == 0 else 1)
        skips.append(x)
    for d in range(n - 1):
        up = F.conv_transpose3d if x.dim() == 5 else F.conv_transpose2d
        x = up(x, state[f"decoder.transpconvs.{d}.weight"], state[f"decoder.transpconvs.{d}.bias"], k["strides"][n - 1 - d])
        x = torch.cat((x, skips[n - 2 - d]), 1)
        for i in range(k["n_conv_per_stage_decoder"][d]):
            x = block(x, state, f"decoder.stages.{d}.convs.{i}", 1)
    head = F.conv3d if x.dim() == 5 else F.conv2d
    name = f"decoder.seg_layers.{n - 2}"
    return head(x, state[name + ".weight"], state[name + ".bias"])


def random_state(config, inputs, heads, seed):
    """A state dict of such a network; every class wins somewhere on noise."""
    k, rng = config["architecture"]["arch_kwargs"], torch.Generator().manual_seed(seed)
    features, dims = k["features_per_stage"], len(k["kernel_sizes"][0])
    state = {}

    def conv(name, cin, cout, kernel, up=False):
        shape = (cin, cout, *kernel) if up else (cout, cin, *kernel)
        fan = cin * (1 if up else int(np.prod(kernel)))
        state[name + ".weight"] = torch.randn(shape, generator=rng) * (2 / fan) ** 0.5
        state[name + ".bias"] = torch.randn(cout, generator=rng) * 0.3

    def norm(name, count):
        state[name + ".weight"] = 0.5 + torch.rand(count, generator=rng)
        state[name + ".bias"] = torch.randn(count, generator=rng) * 0.3

    cin = inputs
    for s, f in enumerate(features):
        for i in range(k["n_conv_per_stage"][s]):
            conv(f"encoder.stages.{s}.0.convs.{i}.conv", cin, f, k["kernel_sizes"][s])
            norm(f"encoder.stages.{s}.0.convs.{i}.norm", f)
            cin = f
    for d in range(len(features) - 1):
        below, f = features[-1 - d], features[-2 - d]
        conv(f"decoder.transpconvs.{d}", below, f, k["strides"][-1 - d], up=True)
        for i in range(k["n_conv_per_stage_decoder"][d]):
            conv(f"decoder.stages.{d}.convs.{i}.conv", 2 * f if i == 0 else f, f, k["kernel_sizes"][-2 - d])
            norm(f"decoder.stages.{d}.convs.{i}.norm", f)
        conv(f"decoder.seg_layers.{d}", f, heads, [1] * dims)
    noise = torch.randn((1, inputs, *config["patch_size"]), generator=rng)
    state[f"decoder.seg_layers.{len(features) - 2}.bias"] -= forward(state, config, noise).flatten(2).mean(2)[0]
    return state


# ---- before it ------------------------------------------------------------------------------------------------------


def separate_axis(current, new, forced):
    if forced is not None and not forced:
        return -1
    for spacing in (current, new):
        if forced or max(spacing) / min(spacing) > 3:
            axes = [a for a in range(3) if max(spacing) / spacing[a] == 1]
            return axes[0] if len(axes) == 1 else -1
    return -1


def resampled(a, shape, current, new, kwargs):
    """One channel, in its own type."""
    if a.shape == tuple(shape):
        return a
    axis = separate_axis(current, new, kwargs["force_separate_z"])
    return resample(a, shape, axis, kwargs["order"], kwargs["order_z"]).astype(a.dtype)


def resampled_labels(seg, shape, current, new, kwargs):
    """resize_segmentation: each label's mask by itself, the last that reaches one half wins."""
    if seg.shape == tuple(shape):
        return seg
    axis, order = separate_axis(current, new, kwargs["force_separate_z"]), kwargs["order"]

    def one(s, to):
        out = np.zeros(to, s.dtype)
        for label in np.unique(s):
            out[resize((s == label).astype(float), to, order) >= 0.5] = label
        return out

    if axis < 0:
        return one(seg, tuple(shape))
    plane = tuple(n for a, n in enumerate(shape) if a != axis)
    slices = np.stack([one(s, plane) for s in np.moveaxis(seg, axis, 0)], axis)
    grid = np.mgrid[tuple(slice(n) for n in shape)].astype(float)
    for a in range(3):
        grid[a] = slices.shape[a] / shape[a] * (grid[a] + 0.5) - 0.5
    return ndimage.map_coordinates(slices.astype(float), grid, order=0, mode="nearest").astype(seg.dtype)


def normalised(x, scheme, use_mask, mask, props):
    if scheme == "CTNormalization":
        x = np.clip(x, np.float32(props["percentile_00_5"]), np.float32(props["percentile_99_5"]))
        return (x - np.float32(props["mean"])) / np.float32(max(props["std"], 1e-8))
    assert scheme == "ZScoreNormalization"
    if not use_mask:
        return (x - x.mean()) / max(x.std(), np.float32(1e-8))
    x = x.copy()
    x[mask] = (x[mask] - x[mask].mean()) / max(x[mask].std(), np.float32(1e-8))
    return x


def foreground_labels(dataset):
    values = [np.atleast_1d(v) for name, v in dataset["labels"].items() if name != "ignore"]
    return [int(v) for v in np.unique(np.concatenate(values)) if v != 0]


class Folder:
    def __init__(self, path, folds):
        self.path = pathlib.Path(path)
        self.plans = json.loads((self.path / "plans.json").read_text())
        self.dataset = json.loads((self.path / "dataset.json").read_text())
        self.name = self.path.name.split("__")[2]
        self.config, at = {}, self.name
        chain = []
        while at:
            chain.append(self.plans["configurations"][at])
            at = chain[-1].get("inherits_from")
        for level in reversed(chain):
            self.config.update(level)
        self.folds = [torch.load(self.path / f"fold_{f}/checkpoint_final.pth", map_location="cpu") for f in folds]
        self.two = len(self.config["patch_size"]) == 2


def prepare(folder, images, spacing, previous):
    """images [channel, z, y, x] as read; -> network input, crop box, cropped shape, spacings."""
    plans, config = folder.plans, folder.config
    tf = plans["transpose_forward"]
    x = np.stack([i.astype(np.float32).transpose(tf) for i in images])
    current = [spacing[a] for a in tf]
    target = ([current[0]] if folder.two else []) + list(config["spacing"])
    nonzero = ndimage.binary_fill_holes((x != 0).any(0))
    box = tuple(slice(int(i.min()), int(i.max()) + 1) for i in np.nonzero(nonzero))
    x, mask = x[(slice(None), *box)], nonzero[box]
    shape = [int(round(i / j * k)) for i, j, k in zip(current, target, x.shape[1:])]
    props = plans["foreground_intensity_properties_per_channel"]
    channels = []
    for c, channel in enumerate(x):
        one = normalised(channel, config["normalization_schemes"][c], config["use_mask_for_norm"][c], mask, props.get(str(c)))
        channels.append(resampled(one, shape, current, target, config["resampling_fn_data_kwargs"]))
    if previous is not None:
        seg = previous.transpose(tf)[box].astype(np.int16)
        seg[(seg == 0) & ~mask] = -1
        seg = resampled_labels(seg, shape, current, target, config["resampling_fn_seg_kwargs"])
        channels += [(seg == value).astype(np.float32) for value in foreground_labels(folder.dataset)]
    return np.stack(channels), box, x.shape[1:], current, target


# ---- the sliding window ---------------------------------------------------------------------------------------------


def slide(state, config, mirror, x, step):
    """fp16 logits [head, z, y, x]."""
    patch = config["patch_size"]
    lead = x.ndim - 1 - len(patch)  # axes that are not tiled: slices of a 2d network
    pad = [(0, 0)] * (1 + lead)
    for n, p in zip(x.shape[1 + lead :], patch):
        pad.append((max(p - n, 0) // 2, max(p - n, 0) - max(p - n, 0) // 2))
    padded = np.pad(x, pad)
    starts = [window_starts(n, p, step) for n, p in zip(padded.shape[1 + lead :], patch)]
    slices = [range(n) for n in padded.shape[1 : 1 + lead]]
    weight = gaussian(patch)
    total = count = None
    for at in itertools.product(*slices, *starts):
        place = (*at[:lead], *(slice(a, a + p) for a, p in zip(at[lead:], patch)))
        view = torch.from_numpy(np.ascontiguousarray(padded[(slice(None), *place)]))[None]
        logits = forward(state, config, view)
        axes = [a + 2 for a in mirror]
        views = [c for i in range(len(axes)) for c in itertools.combinations(axes, i + 1)]
        for c in views:
            logits += torch.flip(forward(state, config, torch.flip(view, c)), c)
        logits = (logits / (len(views) + 1))[0].numpy() * weight.astype(np.float32)
        if total is None:
            total = np.zeros((len(logits), *padded.shape[1:]), np.float16)
            count = np.zeros(padded.shape[1:], np.float16)
        here = (slice(None), *place)
        total[here] = (total[here].astype(np.float32) + logits).astype(np.float16)
        count[place] += weight
    total = (total.astype(np.float32) / count.astype(np.float32)).astype(np.float16)
    return total[tuple(slice(low, n - high) for (low, high), n in zip(pad, total.shape))]


def logits_of(folder, x, step=0.5):
    total = None
    with torch.no_grad():
        for checkpoint in folder.folds:
            mirror = checkpoint["inference_allowed_mirroring_axes"] or ()
            one = slide(checkpoint["network_weights"], folder.config, mirror, x, step)
            total = one if total is None else total + one
    return total if len(folder.folds) == 1 else (total / np.float16(len(folder.folds))).astype(np.float16)


# ---- after it -------------------------------------------------------------------------------------------------------


def labels_of(folder, logits, box, cropped, current, target, whole):
    kwargs = folder.config["resampling_fn_probabilities_kwargs"]
    logits = np.stack([resampled(h, cropped, target, current, kwargs) for h in logits])
    order = folder.dataset.get("regions_class_order")
    if any(isinstance(v, list) and len(v) > 1 for v in folder.dataset["labels"].values()):
        seg = np.zeros(cropped, np.uint8)
        for i, value in enumerate(order):
            seg[torch.sigmoid(torch.from_numpy(logits[i]).float()).numpy() > 0.5] = value
    else:
        seg = logits.argmax(0).astype(np.uint8)
    out = np.zeros([whole[a] for a in folder.plans["transpose_forward"]], np.uint8)
    out[box] = seg
    return out.transpose(folder.plans["transpose_backward"])


def probabilities_of(folder, logits, box, cropped, current, target, whole):
    """What --save_probabilities keeps: float32 [head, z, y, x] in the whole image, background outside the crop."""
    kwargs = folder.config["resampling_fn_probabilities_kwargs"]
    logits = torch.from_numpy(np.stack([resampled(h, cropped, target, current, kwargs) for h in logits])).float()
    regions = any(isinstance(v, list) and len(v) > 1 for v in folder.dataset["labels"].values())
    share = (torch.sigmoid(logits) if regions else torch.softmax(logits, 0)).numpy()
    out = np.zeros([len(share)] + [whole[a] for a in folder.plans["transpose_forward"]], np.float32)
    if not regions:
        out[0] = 1
    out[(slice(None), *box)] = share
    return out.transpose(0, *(a + 1 for a in folder.plans["transpose_backward"]))


def ensemble(members, regions_order=None):
    """Labels of the mean of several probabilities, summed in float32 in their order."""
    mean = members[0].copy()
    for share in members[1:]:
        mean += share
    mean /= len(members)
    if regions_order is None:
        return mean.argmax(0).astype(np.uint8)
    seg = np.zeros(mean.shape[1:], np.uint8)
    for share, value in zip(mean, regions_order):
        seg[share > 0.5] = value
    return seg


def postprocessed(seg, steps):
    """steps: the keyword arguments of remove_all_but_largest_component_from_segmentation."""
    for kwargs in steps:
        mask = np.isin(seg, np.concatenate([np.atleast_1d(v) for v in np.atleast_1d(np.array(kwargs["labels_or_regions"], object))]).astype(int))
        parts, n = ndimage.label(mask, np.ones((3, 3, 3)))
        if n == 0:
            continue
        sizes = np.bincount(parts.ravel())[1:]
        keep = np.flatnonzero(sizes == sizes.max()) + 1
        seg = np.where(mask & ~np.isin(parts, keep), kwargs.get("background_label", 0), seg)
    return seg


def predict(path, images, spacing, previous=None, folds=(0,), step=0.5, export=labels_of):
    """Label map [z, y, x] of one configuration's result folder, or its probabilities; a cascade needs `previous`."""
    folder = Folder(path, folds)
    x, box, cropped, current, target = prepare(folder, images, spacing, previous)
    logits = logits_of(folder, x, step)
    return export(folder, logits, box, cropped, current, target, images[0].shape)
