#!/usr/bin/python3
"""Writes networks of TotalSegmentator's exact layout with random weights: folders as it keeps them, to time and weigh
the engine when the real weights are not at hand. They segment nothing.

    bench/totalseg_like.py OUT --set 3mm|1.5mm

3mm: Dataset297 (118 classes, patch 112x112x128). 1.5mm: Datasets 291 to 295 (25, 27, 19, 24, 27 classes, patch 128^3).
Widths 32..320, six stages; plans.json in nnU-Net's older format, checkpoints with the keys nnU-Net writes. The decoder only
smooths what its two deepest stages say, so that labels are blobs of organ size: with noise, which no trained network makes,
what follows the network would take longer.
"""
import argparse
import json
import pathlib
import re

import torch

FEATURES = [32, 64, 128, 256, 320, 320]
SETS = {"3mm": ([(297, "total_3mm_1559subj", 118)], 3.0, [112, 112, 128], [[2, 2, 2]] * 4 + [[1, 1, 2]]),
        "1.5mm": ([(291, "part1_organs_1559subj", 25), (292, "part2_vertebrae_1532subj", 27),
                   (293, "part3_cardiac_1559subj", 19), (294, "part4_muscles_1559subj", 24),
                   (295, "part5_ribs_1559subj", 27)], 1.5, [128, 128, 128], [[2, 2, 2]] * 5)}


def names_of_total():
    text = (pathlib.Path(__file__).resolve().parent.parent / "src/anatomy/total.c").read_text()
    return re.findall(r'"([A-Za-z0-9_]+)"', text[text.index("names["):text.index("};")])


def state_of(classes, strides, seed):
    torch.manual_seed(seed)
    state = {}

    def conv(name, cout, cin):
        weight = torch.randn(cout, cin, 3, 3, 3) * (2 / (cin * 27)) ** 0.5
        put(name, cout, weight)

    def blur(name, cout, cin, unused=0):
        """Mixes channels at random and smooths; the last `unused` inputs do not count."""
        line = torch.tensor([0.25, 0.5, 0.25])
        kernel = line[:, None, None] * line[:, None] * line
        weight = torch.randn(cout, cin, 1, 1, 1) * (2 / cin) ** 0.5 * kernel
        weight[:, cin - unused:] = 0
        put(name, cout, weight)

    def put(name, cout, weight):
        for inner in ("conv", "all_modules.0"):
            state[f"{name}.{inner}.weight"] = weight
            state[f"{name}.{inner}.bias"] = torch.zeros(cout)
        for inner in ("norm", "all_modules.1"):
            state[f"{name}.{inner}.weight"] = torch.ones(cout)
            state[f"{name}.{inner}.bias"] = torch.zeros(cout)

    width = 1
    for s, f in enumerate(FEATURES):
        for i in range(2):
            conv(f"encoder.stages.{s}.0.convs.{i}", f, width if i == 0 else f)
            width = f
    for t in range(len(FEATURES) - 1):
        low, f, k = FEATURES[-1 - t], FEATURES[-2 - t], strides[-1 - t]
        state[f"decoder.transpconvs.{t}.weight"] = (torch.randn(low, f, 1, 1, 1) * (1 / low) ** 0.5).repeat(1, 1, *k)
        state[f"decoder.transpconvs.{t}.bias"] = torch.zeros(f)
        for i in range(2):
            blur(f"decoder.stages.{t}.convs.{i}", f, 2 * f if i == 0 else f, f if i == 0 and t > 1 else 0)
        state[f"decoder.seg_layers.{t}.weight"] = torch.randn(classes, f, 1, 1, 1) * 0.3
        state[f"decoder.seg_layers.{t}.bias"] = torch.zeros(classes)
    return state


def main():
    ap = argparse.ArgumentParser(description=__doc__)
    ap.add_argument("out", type=pathlib.Path)
    ap.add_argument("--set", choices=SETS, required=True)
    args = ap.parse_args()
    datasets, spacing, patch, strides = SETS[args.set]
    names, first = names_of_total(), 0
    for number, title, classes in datasets:
        own = names[first:first + classes - 1]
        first += classes - 1
        dataset = f"Dataset{number}_TotalSegmentator_{title}"
        folder = args.out / dataset / "nnUNetTrainerNoMirroring__nnUNetPlans__3d_fullres"
        (folder / "fold_0").mkdir(parents=True, exist_ok=True)
        kwargs = {"is_seg": False, "order": 3, "order_z": 0, "force_separate_z": None}
        plans = {
            "dataset_name": dataset, "plans_name": "nnUNetPlans", "image_reader_writer": "NibabelIOWithReorient",
            "transpose_forward": [0, 1, 2], "transpose_backward": [0, 1, 2],
            "configurations": {"3d_fullres": {
                "patch_size": patch, "spacing": [spacing] * 3, "normalization_schemes": ["CTNormalization"],
                "use_mask_for_norm": [False], "UNet_class_name": "PlainConvUNet", "UNet_base_num_features": 32,
                "n_conv_per_stage_encoder": [2] * 6, "n_conv_per_stage_decoder": [2] * 5,
                "pool_op_kernel_sizes": [[1, 1, 1], *strides], "conv_kernel_sizes": [[3, 3, 3]] * 6,
                "unet_max_num_features": 320, "resampling_fn_data": "resample_data_or_seg_to_shape",
                "resampling_fn_data_kwargs": kwargs, "resampling_fn_probabilities": "resample_data_or_seg_to_shape",
                "resampling_fn_probabilities_kwargs": {**kwargs, "order": 1}}},
            "foreground_intensity_properties_per_channel": {
                "0": {"mean": -370.0, "std": 436.6, "percentile_00_5": -1024.0, "percentile_99_5": 276.0}}}
        labels = {"background": 0, **{name: i + 1 for i, name in enumerate(own)}}
        (folder / "plans.json").write_text(json.dumps(plans, indent=1))
        (folder / "dataset.json").write_text(json.dumps({"channel_names": {"0": "CT"}, "labels": labels}, indent=1))
        torch.save({"network_weights": state_of(classes, strides, number), "current_epoch": 4000,
                    "trainer_name": "nnUNetTrainerNoMirroring", "inference_allowed_mirroring_axes": None},
                   folder / "fold_0/checkpoint_final.pth")
        print(folder)


if __name__ == "__main__":
    main()
