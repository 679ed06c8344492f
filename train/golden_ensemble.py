#!/usr/bin/python3
"""Ensembles of the random networks that golden_cascade makes, and the labels that nnunet_reference gives them.

Written to tests/golden/nnunet_ensemble from the data set in tests/golden/nnunet_cascade: what
nnUNetv2_find_best_configuration would leave (inference_information.json, the ensemble's postprocessing.json) and
expected label maps. tests/interop runs the program on others: make(folder, name, case, members)."""

import argparse
import json
import pathlib

import golden_cascade as golden
import nibabel
import numpy as np
import nnunet_reference as reference

ROOT = pathlib.Path(__file__).resolve().parent.parent
FOLDS = {"2d": (0,), "3d_lowres": (0, 1), "3d_cascade_fullres": (0, 1)}
MEMBERS = {"pair": ("2d", "3d_cascade_fullres"), "stages": ("3d_cascade_fullres", "3d_lowres"),
           "three": ("3d_lowres", "2d", "3d_cascade_fullres")}


def identifier(stage):
    return f"nnUNetTrainer__nnUNetPlans__{stage}"


def information(members, folds):
    """inference_information.json and the name of the ensemble's folder."""
    name = "___".join(["ensemble", *(identifier(m) for m in members), "_".join(str(f) for f in folds)])
    models = [{"configuration": m, "trainer": "nnUNetTrainer", "plans_identifier": "nnUNetPlans"} for m in members]
    best = {"result_on_crossval_pre_pp": 0.9, "result_on_crossval_post_pp": 0.91, "selected_model_or_models": models,
            "postprocessing_file": f"/where/it/was/trained/Dataset901_Cascade/ensembles/{name}/postprocessing.pkl",
            "some_plans_file": f"/where/it/was/trained/Dataset901_Cascade/ensembles/{name}/plans.json"}
    return {"folds": list(folds), "dataset_name_or_id": 901, "ensembling_allowed": True, "all_results": {name: 0.9},
            "best_model_or_ensemble": best}, name


def images_of(folder, spacing):
    arrays = [np.asarray(nibabel.load(p).dataobj, "f4").transpose(2, 1, 0) for p in sorted((folder / "input").glob("*.nii.gz"))]
    return arrays, [float(np.float32(s)) for s in spacing]


def make(folder, name, case, members, folds=FOLDS):
    """Labels of the mean of `members`, of what golden_cascade.make left in `folder`."""
    images, spacing = images_of(folder, case["image"])
    low = reference.predict(folder / name / identifier("3d_lowres"), images, spacing, folds=folds["3d_lowres"])
    shares = []
    for stage in members:
        previous = low if "cascade" in stage else None
        shares.append(reference.predict(folder / name / identifier(stage), images, spacing, previous, folds[stage],
                                        export=reference.probabilities_of))
    return reference.ensemble(shares, case.get("order"))


def main():
    ap = argparse.ArgumentParser(description=__doc__)
    ap.add_argument("--out", type=pathlib.Path, default=ROOT / "tests/golden/nnunet_ensemble")
    args = ap.parse_args()
    case, source = golden.CASES["small"], ROOT / "tests/golden/nnunet_cascade"
    for name, members in MEMBERS.items():
        seg = make(source, "Dataset901_Cascade", case, members)
        args.out.mkdir(parents=True, exist_ok=True)
        golden.save(args.out / f"expected_{name}.nii.gz", seg, case)
        print(name, np.bincount(seg.ravel()))
    folds = {stage: (0,) for stage in FOLDS}
    seg = make(source, "Dataset901_Cascade", case, MEMBERS["pair"], folds)
    chosen, name = information(MEMBERS["pair"], (0,))
    steps = golden.steps_of(case)
    (args.out / "inference_information.json").write_text(json.dumps(chosen, indent=1) + "\n")
    place = args.out / "ensembles" / name
    place.mkdir(parents=True, exist_ok=True)
    (place / "postprocessing.json").write_text(
        json.dumps({"postprocessing_fns": [golden.FN] * len(steps), "postprocessing_kwargs": steps}, indent=1) + "\n")
    golden.save(args.out / "expected_chosen.nii.gz", reference.postprocessed(seg, steps).astype(np.uint8), case)
    golden.save(args.out / "expected_chosen_uncleaned.nii.gz", seg, case)
    print("chosen", np.bincount(seg.ravel()))


if __name__ == "__main__":
    main()
