"""HU to network input: one place for training, evaluation and the card."""

NORMALIZATION = {"type": "ct", "clip_hu": [-1000.0, 600.0], "mean": -100.0, "std": 250.0}


def normalize(hu):
    lo, hi = NORMALIZATION["clip_hu"]
    return (hu.clamp(lo, hi) - NORMALIZATION["mean"]) / NORMALIZATION["std"]
