#!/usr/bin/python3
"""Writes tests/golden/nnunet_threshold: a 6 mm network as TotalSegmentator lays them out that calls aorta what is much
brighter than the rest of its patch, for tests that need to know where a structure will be found."""

import json
import pathlib

import golden_cascade as golden
import nnunet_reference as reference
import torch


def main():
    out = pathlib.Path(__file__).resolve().parent.parent / "tests/golden/nnunet_threshold"
    result = out / "Dataset298_Threshold" / "nnUNetTrainer__nnUNetPlans__3d_fullres"
    (result / "fold_0").mkdir(parents=True, exist_ok=True)
    config = golden.configuration((8, 16, 16), (6.0, 6.0, 6.0), [2, 2])
    config["normalization_schemes"], config["use_mask_for_norm"] = ["CTNormalization"], [False]
    plans = {"dataset_name": "Dataset298_Threshold", "plans_name": "nnUNetPlans", "image_reader_writer": "NibabelIO",
             "transpose_forward": [0, 1, 2], "transpose_backward": [0, 1, 2], "configurations": {"3d_fullres": config},
             "foreground_intensity_properties_per_channel": {
                 "0": {"mean": 100.0, "std": 200.0, "percentile_00_5": -900.0, "percentile_99_5": 1200.0}}}
    dataset = {"channel_names": {"0": "CT"}, "file_ending": ".nii.gz", "numTraining": 2,
               "labels": {"background": 0, "liver": 1, "spleen": 2, "aorta": 3}}
    (result / "plans.json").write_text(json.dumps(plans, indent=1) + "\n")
    (result / "dataset.json").write_text(json.dumps(dataset, indent=1) + "\n")
    state = reference.random_state(config, 1, 4, 7)
    for name, t in state.items():
        t.fill_(1 if name.endswith("norm.weight") else 0)
    state["encoder.stages.0.0.convs.0.conv.weight"][0, 0, 1, 1, 1] = 1  # the image itself ...
    state["decoder.stages.0.convs.0.conv.weight"][0, 2, 1, 1, 1] = 1  # ... by the skip connection
    state["decoder.seg_layers.0.weight"][3, 0] = 1
    state["decoder.seg_layers.0.bias"][:] = torch.tensor([0, -99.0, -99.0, -0.8])  # 0.8 deviations above the patch's mean
    torch.save({"network_weights": state, "trainer_name": "nnUNetTrainer", "current_epoch": 1,
                "inference_allowed_mirroring_axes": None}, result / "fold_0/checkpoint_final.pth")


if __name__ == "__main__":
    main()
