"""The package of a run as it is shipped: half-precision weights, what it was trained on, how well it does.

    package.py RUN/package models/torso-ct --version 0.3.0 --iterations 6000 --evaluation accuracy.json

--evaluation is what bench/accuracy.py printed for this package. Weights are rounded to binary16 (the engine reads both).
"""

import argparse
import hashlib
import json
import pathlib
import struct

import numpy as np

CLASSES = "a class that is no structure of the result (muscle between the named ones, fat, other soft tissue) becomes background"
SOURCES = [
    {"what": "label maps s0327, s0328 of TotalSegmentator's training data", "license": "CC BY 4.0",
     "use": "anatomy of the synthetic images"},
    {"what": "bone HU of TotalSegmentator case 0328", "license": "CC BY 4.0", "use": "texture inside synthetic bones"},
    {"what": "synthetic patients of the project's phantom (seeds from 10000)", "license": "Apache-2.0",
     "use": "whole bodies with complete truth, scoliosis, 4 to 6 lumbar vertebrae"},
    {"what": "four unlabelled CT volumes (ACRIN-FLT, CPTAC-PDA, Pancreas-CT, CORT)", "license": "CC BY / public domain",
     "use": "self-training on the network's own sure voxels, looked at and corrected by eye"},
]  # fmt: skip
TORSO = [
    "Anatomy of two real patients only, deformed; plus a phantom. Adults, supine, torso. No real scan of a child, of scoliosis or "
    "after surgery was trained on; tumours, ascites and metal only as painted shapes.",
    "With much ascites the network names part of the spleen left kidney (a rule mends it where that hangs by a neck), and small scraps of the fluid bowel (the ovarian case).",
    "With contrast medium, fluid named liver or spleen is left out where the label ends within fluid, which may take a part of the organ that is as dark; a finding says how much.",
    "Vertebrae are named by counting along the spine from sacrum, ribs and psoas; where neither is in view names may be shifted together. A sixth lumbar "
    "vertebra was counted as five under a large curve (phantom 5).",
    "Left and right are not told apart by the network: a rule splits paired structures.",
    "Development cases were watched while it was made: they are no test set. The reference of the example CT is another program's output.",
    "Not for diagnostic use.",
]

DETAIL = [
    "Anatomy of two real patients only (C7 to L5), deformed; plus a phantom. No real scan was trained on, none with a fracture, an implant, spondylolisthesis or a congenital variant.",
    "Names come from the other network: where it is one level off, all parts are.",
    "Parts follow a rule from whole vertebrae; where a lamina ends and a process begins is convention. Cervical levels get the same scheme, which fits them less; they were not looked at.",
    "Thecal sac, ligamenta flava and nerve roots are modelled, not seen.",
    "Development cases were watched while it was made: they are no test set. The parts' reference is another network's output.",
    "Not for diagnostic use.",
]
INTRO = {
    False: "Torso CT: {count} groups of structures on a {mm:g} mm grid, {millions:.1f} M parameters, vertebrae and discs named singly.",
    True: "A second look at the spine in CT: {count} classes on a {mm:g} mm grid, {millions:.1f} M parameters: vertebral bodies, pedicles, laminae, spinous, transverse and articular\nprocesses, discs, "
          "canal, sacrum. It runs after `torso-ct` where a spine was found (ADR 0101).",
}  # fmt: skip
SPINE = ("vertebrae", "discs", "sacrum")


def rows_for(detail, evaluation):
    """What a network's README tells of an evaluation that both made together."""
    if not detail:
        return {case: rows for case, rows in evaluation.items() if case != "parts"}
    kept = {c: {n: d for n, d in rows.items() if c == "parts" or n.startswith((*SPINE, "shift"))} for c, rows in evaluation.items()}
    return {c: rows for c, rows in kept.items() if rows}


def read(path):
    raw = path.read_bytes()
    n = struct.unpack("<Q", raw[:8])[0]
    head = json.loads(raw[8 : 8 + n])
    out = {}
    for name, t in head.items():
        a, b = t["data_offsets"]
        out[name] = np.frombuffer(raw[8 + n + a : 8 + n + b], "<f4").reshape(t["shape"])
    return out


def write_half(tensors, path):
    head, blobs, at = {}, [], 0
    for name in sorted(tensors):
        half = tensors[name].astype("<f2")
        if not np.isfinite(half).all():
            raise SystemExit(f"{name}: a weight is beyond binary16")
        blob = half.tobytes()
        head[name] = {"dtype": "F16", "shape": list(half.shape), "data_offsets": [at, at + len(blob)]}
        blobs.append(blob)
        at += len(blob)
    text = json.dumps(head).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(struct.pack("<Q", len(text)) + text + b"".join(blobs))


def table(evaluation):
    """Rows: structures; columns: cases."""
    names = list(dict.fromkeys(n for case in evaluation.values() for n in case if n != "shift_of_names"))
    head = "| structure | " + " | ".join(evaluation) + " |\n|---|" + "---|" * len(evaluation)
    rows = [f"| {n} | " + " | ".join(f"{c[n]:.2f}" if n in c else "" for c in evaluation.values()) + " |" for n in names]
    shifts = [str(c.get("shift_of_names", "")) for c in evaluation.values()]
    return "\n".join([head, *rows, "| *names of vertebrae moved by* | " + " | ".join(shifts) + " |"])


README = """# {name}

{intro} Version {version}, trained with `fabrica train`
({iterations} iterations of two patches) on two CPU cores. **Training device and research software. Not for diagnostic use.**

* **Trained on**: {sources}. No expert label of a real scan was trained on.
* **Licence of the weights**: CC BY 4.0. Attribution: TotalSegmentator data set, Wasserthal et al.
* **Form, preprocessing, labels**: `model.json`, explained in `models/README.md`. How it was made: `train/recipes/{name}.json`, ADR 0091, 0092, `train/EXPERIMENTS.md`.

## Accuracy (Dice), by the program with both packages, torso-ct and spine-detail (`bench/accuracy.py`)

The real cases were watched during development: a **development set**, never trained on. The example's reference is TotalSegmentator's output, not an expert's; VerSe's is expert and
leaves out vertebrae that the crop cuts, which are counted as errors of `vertebrae` here. Single vertebrae count under their own name, or under names moved by the shift in the last row
where that fits better. The phantoms (seeds 1-5; training took seeds from 10000) are unseen patients of a generator that was seen: they say little about real scans.

{table}

## Limits

{limits}
"""


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("package", type=pathlib.Path)
    ap.add_argument("out", type=pathlib.Path)
    ap.add_argument("--version", required=True)
    ap.add_argument("--iterations", type=int, required=True)
    ap.add_argument("--evaluation", type=pathlib.Path)
    a = ap.parse_args()
    card = json.loads((a.package / "model.json").read_text())
    tensors = read(a.package / "weights.safetensors")
    a.out.mkdir(parents=True, exist_ok=True)
    write_half(tensors, a.out / "weights.safetensors")
    card["version"] = a.version
    card["weights"]["sha256"] = hashlib.sha256((a.out / "weights.safetensors").read_bytes()).hexdigest()
    detail = "detail" in card
    evaluation = rows_for(detail, json.loads(a.evaluation.read_text()) if a.evaluation else {})
    sources, limits = (SOURCES[:3], DETAIL) if detail else (SOURCES, TORSO)
    card["training"] = {"program": "fabrica train, fp32, CPU", "iterations": a.iterations, "batch": 2, "sources": sources, "note": CLASSES}
    card["evaluation"] = [{"case": n, "set": "phantom" if n.startswith("phantom") else "development", "dice": c} for n, c in evaluation.items()]
    card["limitations"] = limits
    (a.out / "model.json").write_text(json.dumps(card, indent=1) + "\n")
    millions = sum(t.size for t in tensors.values()) / 1e6
    intro = INTRO[detail].format(count=len(card["labels"]), mm=card["preprocessing"]["spacing_mm"][0], millions=millions)
    text = README.format(
        name=card["name"], intro=intro, version=a.version, iterations=a.iterations, table=table(evaluation),
        sources="; ".join(f"{s['what']} ({s['license']})" for s in sources), limits="\n".join("* " + t for t in limits),
    )  # fmt: skip
    (a.out / "README.md").write_text(text)


if __name__ == "__main__":
    main()
