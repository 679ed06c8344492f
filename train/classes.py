"""The network's classes and how source labels map onto them."""

import json

# (name, TotalSegmentator v2 members, split into left and right afterwards)
CLASSES = [
    ("outside", [], False),
    ("vertebrae", ["vertebrae_*"], False),
    ("sacrum", ["sacrum", "vertebrae_S1"], False),
    ("ribs_sternum", ["rib_*", "sternum", "costal_cartilages"], False),
    ("hips", ["hip_*"], True),
    ("femurs", ["femur_*"], True),
    ("lungs", ["lung_*"], True),
    ("heart", ["heart", "atrial_appendage_left"], False),
    ("aorta", ["aorta"], False),
    ("inferior_vena_cava", ["inferior_vena_cava"], False),
    ("liver", ["liver"], False),
    ("spleen", ["spleen"], False),
    ("kidneys", ["kidney_right", "kidney_left", "kidney_cyst_*"], True),
    ("stomach", ["stomach"], False),
    ("bowel", ["small_bowel", "duodenum", "colon"], False),
    ("urinary_bladder", ["urinary_bladder"], False),
    ("spinal_cord", ["spinal_cord"], False),
    ("autochthon", ["autochthon_*"], True),
    ("gluteal_muscles", ["gluteus_*"], True),
    ("iliopsoas", ["iliopsoas_*"], True),
    ("pancreas", ["pancreas"], False),
    ("shoulder_girdle", ["scapula_*", "clavicula_*", "humerus_*"], True),
    ("soft_tissue", [], False),
]
NAMES = [c[0] for c in CLASSES]
COUNT = len(CLASSES)
SOFT = NAMES.index("soft_tissue")
IGNORE = 255

# "left_name"/"right_name" stems of the classes that are split afterwards
STEMS = {
    "hips": "hip",
    "femurs": "femur",
    "lungs": "lung",
    "kidneys": "kidney",
    "autochthon": "autochthon",
    "gluteal_muscles": "gluteal_muscles",
    "iliopsoas": "iliopsoas",
    "shoulder_girdle": "shoulder_girdle",
}

# TotalSegmentator v1 (104 classes) names that differ in number only: value -> class name
V1_RANGES = [
    (1, 1, "spleen"), (2, 3, "kidneys"), (5, 5, "liver"), (6, 6, "stomach"), (7, 7, "aorta"),
    (8, 8, "inferior_vena_cava"), (10, 10, "pancreas"), (13, 17, "lungs"), (18, 41, "vertebrae"),
    (44, 48, "heart"), (55, 57, "bowel"), (58, 81, "ribs_sternum"), (82, 87, "shoulder_girdle"),
    (88, 89, "femurs"), (90, 91, "hips"), (92, 92, "sacrum"), (94, 99, "gluteal_muscles"),
    (100, 101, "autochthon"), (102, 103, "iliopsoas"), (104, 104, "urinary_bladder"),
]  # fmt: skip


def matches(name, pattern):
    return name.startswith(pattern[:-1]) if pattern.endswith("*") else name == pattern


def class_of(name):
    """Class value of a TotalSegmentator v2 structure name; soft tissue when in no group."""
    for value, (_, members, _) in enumerate(CLASSES):
        exact = [m for m in members if not m.endswith("*")]
        if name in exact:
            return value
    for value, (_, members, _) in enumerate(CLASSES):
        if any(matches(name, m) for m in members):
            return value
    return SOFT


def v2_names(data):
    return {int(k): v for k, v in json.loads((data / "labelmaps/total_v2_classes.json").read_text()).items()}


def members_of(value, names):
    """The v2 structure names that class `value` holds."""
    return [n for n in names if class_of(n) == value]
