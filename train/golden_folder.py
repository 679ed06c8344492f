#!/usr/bin/python3
"""Writes tests/golden/nnunet_folder: a small nnU-Net result folder of two folds with random weights, as nnU-Net
lays it out, one patch, and torch's logits of both folds (float32, [fold][class][z][y][x])."""

import json
import pathlib

import numpy as np
import torch

import net as netlib

PATCH = (8, 12, 16)
KERNELS = [[1, 3, 3], [3, 3, 3], [3, 3, 3]]
STRIDES = [[1, 1, 1], [1, 2, 2], [2, 2, 2]]


def checkpoint(seed):
    arch = netlib.architecture(4, [4, 8, 12], [2, 1, 2], [2, 1], STRIDES)
    for stage, kernel in zip(arch["stages"], KERNELS):
        stage["kernel"] = kernel
    torch.manual_seed(seed)
    net = netlib.PlainConvUNet(arch).eval()
    with torch.no_grad():
        for name, p in net.named_parameters():
            if name.endswith("bias"):
                p.normal_(0, 0.3)
            elif ".norm." in name:
                p.uniform_(0.5, 1.5)
        # every class wins somewhere
        head = net.decoder.seg_layers[-1]
        head.bias -= net(torch.randn(1, 1, *PATCH))[0].mean(dim=(1, 2, 3))
    return net


def main():
    out = pathlib.Path(__file__).resolve().parent.parent / "tests/golden/nnunet_folder"
    result = out / "Dataset900_Small" / "nnUNetTrainer__nnUNetPlans__3d_fullres"
    resample = {"is_seg": False, "order": 3, "order_z": 0, "force_separate_z": None}
    plans = {
        "dataset_name": "Dataset900_Small", "plans_name": "nnUNetPlans", "image_reader_writer": "NibabelIO",
        "transpose_forward": [0, 1, 2], "transpose_backward": [0, 1, 2],
        "configurations": {"3d_fullres": {
            "patch_size": list(PATCH), "spacing": [3.0, 3.0, 3.0],
            "normalization_schemes": ["CTNormalization"], "use_mask_for_norm": [False],
            "resampling_fn_data": "resample_data_or_seg_to_shape", "resampling_fn_data_kwargs": resample,
            "resampling_fn_probabilities": "resample_data_or_seg_to_shape",
            "resampling_fn_probabilities_kwargs": {**resample, "order": 1},
            "architecture": {
                "network_class_name": "dynamic_network_architectures.architectures.unet.PlainConvUNet",
                "arch_kwargs": {
                    "n_stages": 3, "features_per_stage": [4, 8, 12], "conv_op": "torch.nn.modules.conv.Conv3d",
                    "kernel_sizes": KERNELS, "strides": STRIDES, "n_conv_per_stage": [2, 1, 2],
                    "n_conv_per_stage_decoder": [2, 1], "conv_bias": True,
                    "norm_op": "torch.nn.modules.instancenorm.InstanceNorm3d",
                    "norm_op_kwargs": {"eps": 1e-5, "affine": True}, "dropout_op": None, "dropout_op_kwargs": None,
                    "nonlin": "torch.nn.LeakyReLU", "nonlin_kwargs": {"inplace": True}}}}},
        "foreground_intensity_properties_per_channel": {
            "0": {"mean": 100.0, "std": 200.0, "percentile_00_5": -900.0, "percentile_99_5": 1200.0}}}
    dataset = {"channel_names": {"0": "CT"}, "file_ending": ".nii.gz", "numTraining": 2,
               "labels": {"background": 0, "liver": 1, "spleen": 2, "aorta": 3}}
    result.mkdir(parents=True, exist_ok=True)
    (result / "plans.json").write_text(json.dumps(plans, indent=1) + "\n")
    (result / "dataset.json").write_text(json.dumps(dataset, indent=1) + "\n")
    torch.manual_seed(99)
    patch = torch.randn(1, 1, *PATCH)
    logits = []
    for fold in (0, 1):
        net = checkpoint(901 + fold)
        state = net.state_dict()
        (result / f"fold_{fold}").mkdir(exist_ok=True)
        torch.save({"network_weights": state, "current_epoch": 1, "trainer_name": "nnUNetTrainer",
                    "inference_allowed_mirroring_axes": (0, 1, 2)}, result / f"fold_{fold}/checkpoint_final.pth")
        with torch.no_grad():
            logits.append(net(patch)[0].numpy())
    patch.numpy().astype("<f4").tofile(out / "patch.bin")
    np.stack(logits).astype("<f4").tofile(out / "logits.bin")


if __name__ == "__main__":
    main()
