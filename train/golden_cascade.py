#!/usr/bin/python3
"""Small nnU-Net result folders with random weights, images for them, and the labels that nnunet_reference makes of them.

Written to tests/golden/nnunet_cascade: a cascade of two channels with postprocessing, and a 2d configuration. tests/interop
runs the program on others made here: make(folder, seed, CASES[name])."""

import argparse
import json
import pathlib

import nibabel
import numpy as np
import nnunet_reference as reference
import torch
from scipy import ndimage

FN = "remove_all_but_largest_component_from_segmentation"
RESAMPLE = "resample_data_or_seg_to_shape"

# labels, image size (z, y, x), spacing, lowres and fullres spacing, transpose, patch of both, 2d patch
CASES = {
    "small": {"labels": {"background": 0, "a": 1, "b": 2, "c": 3}, "size": (14, 25, 30), "image": (3.0, 1.6, 1.3),
              "low": (4.0, 3.0, 3.0), "full": (2.5, 2.0, 1.5), "transpose": (1, 0, 2), "mirror": (0, 2)},
    "coarse": {"labels": {"background": 0, "a": 1, "b": 2}, "size": (9, 32, 34), "image": (6.0, 1.2, 1.2),
               "low": (6.0, 2.4, 2.4), "full": (5.0, 1.5, 1.5), "transpose": (0, 1, 2), "mirror": (0, 1, 2)},
    "regions": {"labels": {"background": 0, "all": [1, 2, 3, 4], "core": [2, 3], "rim": 4}, "order": [1, 2, 4],
                "size": (16, 20, 22), "image": (2.0, 2.0, 2.0), "low": (4.0, 4.0, 4.0), "full": (1.7, 2.0, 2.1),
                "transpose": (2, 0, 1), "mirror": ()},
    "many": {"labels": {"background": 0, **{f"s{i}": i for i in range(1, 41)}}, "size": (16, 18, 20),
             "image": (2.0, 2.0, 2.0), "low": (3.0, 3.0, 3.0), "full": (2.0, 2.0, 2.0), "transpose": (0, 1, 2), "mirror": ()},
}


def architecture(dims, features):
    n = len(features)
    return {"network_class_name": "dynamic_network_architectures.architectures.unet.PlainConvUNet", "arch_kwargs": {
        "n_stages": n, "features_per_stage": features, "conv_op": f"torch.nn.modules.conv.Conv{dims}d",
        "kernel_sizes": [[3] * dims] * n, "strides": [[1] * dims] + [[2] * dims] * (n - 1), "n_conv_per_stage": [1] * n,
        "n_conv_per_stage_decoder": [1] * (n - 1), "conv_bias": True,
        "norm_op": f"torch.nn.modules.instancenorm.InstanceNorm{dims}d", "norm_op_kwargs": {"eps": 1e-5, "affine": True},
        "dropout_op": None, "dropout_op_kwargs": None, "nonlin": "torch.nn.LeakyReLU", "nonlin_kwargs": {"inplace": True}}}


def configuration(patch, spacing, features):
    def kwargs(order, seg):
        return {"is_seg": seg, "order": order, "order_z": 0, "force_separate_z": None}

    return {"patch_size": list(patch), "spacing": list(spacing),
            "normalization_schemes": ["CTNormalization", "ZScoreNormalization"], "use_mask_for_norm": [False, True],
            "resampling_fn_data": RESAMPLE, "resampling_fn_data_kwargs": kwargs(3, False),
            "resampling_fn_seg": RESAMPLE, "resampling_fn_seg_kwargs": kwargs(1, True),
            "resampling_fn_probabilities": RESAMPLE, "resampling_fn_probabilities_kwargs": kwargs(1, False),
            "architecture": architecture(len(patch), features)}


def plans_of(name, case):
    transposed = [case["full"][a] for a in case["transpose"]]
    low = [case["low"][a] for a in case["transpose"]]
    back = [case["transpose"].index(a) for a in range(3)]
    return {"dataset_name": name, "plans_name": "nnUNetPlans", "image_reader_writer": "NibabelIO",
            "transpose_forward": list(case["transpose"]), "transpose_backward": back,
            "configurations": {
                "2d": configuration((16, 24), transposed[1:], [4, 8]),
                "3d_lowres": {**configuration((8, 12, 12), low, [4, 8]), "next_stage": "3d_cascade_fullres"},
                "3d_fullres": configuration((8, 16, 16), transposed, [4, 8]),
                "3d_cascade_fullres": {"inherits_from": "3d_fullres", "previous_stage": "3d_lowres"}},
            "foreground_intensity_properties_per_channel": {
                "0": {"mean": 40.0, "std": 150.0, "percentile_00_5": -500.0, "percentile_99_5": 700.0}}}


def images_of(case, rng):
    """A CT and an MR, zero outside an ellipsoid that does not fill the image; smooth, so that regions form."""
    grid = np.stack(np.meshgrid(*(np.linspace(-1, 1, n) for n in case["size"]), indexing="ij"))
    inside = (grid**2).sum(0) < 0.9 ** 2
    inside[:1] = inside[..., -2:] = False

    def one():
        x = ndimage.gaussian_filter(rng.standard_normal(case["size"]), 1.5)
        return x / x.std()

    ct = np.where(inside, np.round(one() * 250 + 30), 0).astype(np.int16)
    mr = np.where(inside, np.round(np.abs(one() * 200 + 500)), 0).astype(np.int16)
    ct[inside & (ct == 0)] = 1
    return [ct, mr]


def write_result(folder, name, case, stage, folds, seed):
    plans = plans_of(name, case)
    dataset = {"channel_names": {"0": "CT", "1": "T1"}, "labels": case["labels"], "numTraining": 2, "file_ending": ".nii.gz"}
    if "order" in case:
        dataset["regions_class_order"] = case["order"]
    result = folder / name / f"nnUNetTrainer__nnUNetPlans__{stage}"
    result.mkdir(parents=True, exist_ok=True)
    (result / "plans.json").write_text(json.dumps(plans, indent=1) + "\n")
    (result / "dataset.json").write_text(json.dumps(dataset, indent=1) + "\n")
    config = {**plans["configurations"].get("3d_fullres"), **plans["configurations"][stage]}
    heads = len(case.get("order", case["labels"]))
    inputs = 2 + (len(reference.foreground_labels(dataset)) if "previous_stage" in config else 0)
    mirror = case["mirror"] if stage != "2d" else (0, 1)
    for fold in folds:
        state = reference.random_state(config, inputs, heads, seed + fold)
        (result / f"fold_{fold}").mkdir(exist_ok=True)
        torch.save({"network_weights": state, "trainer_name": "nnUNetTrainer", "current_epoch": 1,
                    "inference_allowed_mirroring_axes": mirror or None}, result / f"fold_{fold}/checkpoint_final.pth")
    return result


def save(path, array, case):
    """An array (z, y, x) as NIfTI, turned and shifted in the world."""
    z, y, x = case["image"]
    affine = np.array([[0, -y, 0, 40], [x, 0, 0, -30], [0, 0, z, 12], [0, 0, 0, 1]], float)
    image = nibabel.Nifti1Image(np.ascontiguousarray(array.transpose(2, 1, 0)), affine)
    image.header.set_xyzt_units("mm")
    nibabel.save(image, path)


def steps_of(case):
    values = [v for v in case["labels"].values() if v != 0]
    foreground = reference.foreground_labels({"labels": case["labels"]})
    return [{"labels_or_regions": foreground}] + [{"labels_or_regions": v} for v in values[1:]]


def make(folder, name, case, seed):
    """Folders of every stage, the images, and expected_STAGE.nii.gz of each; {stage: labels} before postprocessing."""
    rng = np.random.default_rng(seed)
    images = images_of(case, rng)
    (folder / "input").mkdir(parents=True, exist_ok=True)
    for c, image in enumerate(images):
        save(folder / f"input/case_{c:04d}.nii.gz", image, case)
    spacing = [float(np.float32(s)) for s in case["image"]]
    low = write_result(folder, name, case, "3d_lowres", (0, 1), seed)
    full = write_result(folder, name, case, "3d_cascade_fullres", (0, 1), seed + 10)
    flat = write_result(folder, name, case, "2d", (0,), seed + 20)
    labels = {"3d_lowres": reference.predict(low, images, spacing, folds=(0, 1))}
    labels["3d_cascade_fullres"] = reference.predict(full, images, spacing, labels["3d_lowres"], folds=(0, 1))
    stage = reference.prepare(reference.Folder(full, (0,)), images, spacing, labels["3d_lowres"])
    np.savez_compressed(folder / "prepared_3d_cascade_fullres.npz", data=stage[0], box=np.array([[b.start, b.stop] for b in stage[1]]))
    np.savez_compressed(folder / "prepared_2d.npz", data=reference.prepare(reference.Folder(flat, (0,)), images, spacing, None)[0])
    labels["2d"] = reference.predict(flat, images, spacing)
    cross = full / "crossval_results_folds_0_1"
    cross.mkdir(exist_ok=True)
    steps = steps_of(case)
    (cross / "postprocessing.json").write_text(
        json.dumps({"postprocessing_fns": [FN] * len(steps), "postprocessing_kwargs": steps}, indent=1) + "\n")
    labels["postprocessed"] = reference.postprocessed(labels["3d_cascade_fullres"], steps)
    for stage, seg in labels.items():
        save(folder / f"expected_{stage}.nii.gz", seg.astype(np.uint8), case)
    return labels


def main():
    out = pathlib.Path(__file__).resolve().parent.parent / "tests/golden/nnunet_cascade"
    ap = argparse.ArgumentParser(description=__doc__)
    ap.add_argument("--out", type=pathlib.Path, default=out)
    ap.add_argument("--case", choices=CASES, default="small")
    ap.add_argument("--seed", type=int, default=901)
    args = ap.parse_args()
    labels = make(args.out, "Dataset901_Cascade", CASES[args.case], args.seed)
    for stage, seg in labels.items():
        print(stage, np.bincount(seg.ravel()))


if __name__ == "__main__":
    main()
