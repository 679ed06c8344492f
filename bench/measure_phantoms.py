#!/usr/bin/python3
"""Spine measurements of phantoms, from the labels the shipped networks give, against the phantoms' truth.

    bench/measure_phantoms.py WORK [--case SEED:COBB:SPACING ...] [--program build/fabrica] [--models models] [--all]

Makes each phantom and its twin in WORK (what is there stays), measures the twin and prints a line per case and
every number that is farther off than 3 degrees or 5 % (--all: every number). Exit 1 if one is. Standard library
only. Cases by default: the seven on which the fit was made.
"""
import argparse
import json
import pathlib
import subprocess
import sys

CASES = ["11:0:1,1,2.5", "11:20:1,1,2.5", "11:45:1,1,2.5", "11:70:1,1,2.5", "33:10:1,1,2.5", "33:35:1,1,2.5", "33:60:1,1,2.5"]
DEGREES, PERCENT = 3.0, 5.0
PLACES = {"front": "anterior", "middle": "middle", "back": "posterior"}


def build(case, a):
    """The twin's folder and the phantom's truth of SEED:COBB:SPACING."""
    seed, cobb, spacing = case.split(":")
    name = f"{seed}_{cobb}_{spacing.replace(',', '_')}"
    patient, twin = a.work / f"phantom_{name}", a.work / f"twin_{name}"
    if not patient.exists():
        subprocess.run([a.program, "phantom", "-q", "--seed", seed, "--cobb", cobb, "--spacing", spacing, "-o", patient], check=True)
    if not twin.exists():
        subprocess.run([a.program, "twin", patient / "dicom", "-q", "--models", a.models, "--format", "nifti", "-o", twin], check=True)
    return twin, json.loads((patient / "truth/truth.json").read_text())


def measure(twin, a):
    done = subprocess.run([a.program, "measure", twin, "--json"], check=True, capture_output=True, text=True)
    return json.loads(done.stdout)["spine"]


def compared(spine, truth):
    """Rows (kind, place, is, should) of all that has a truth and was measured; names that differ."""
    levels = {v["level"]: v for v in truth["vertebrae"]}
    rows, wrong = [], []
    curves = spine["coronal_curves"]
    cobb = curves[0]["cobb_deg"] if curves else spine["largest_coronal_angle"]["deg"]
    rows.append(("cobb", "", cobb, truth["cobb_deg"]))
    rows.append(("lordosis", "", spine["lumbar_lordosis_L1_S1"]["deg"], truth["lordosis_L1_S1_deg"]))
    rows.append(("kyphosis", "", spine["thoracic_kyphosis_T4_T12"]["deg"], truth["kyphosis_T4_T12_deg"]))
    for v in spine["vertebrae"]:
        t = levels.get(v["level"])
        here = t and v["measured"] and sum((x - y) ** 2 for x, y in zip(v["centre_mm"], t["centre"])) ** 0.5 < 8
        if v["measured"] and not here:
            wrong.append(v["level"])
        if not here:
            continue
        rows.append(("rotation", v["level"], v["axial_rotation_deg"], t["axial_rotation_deg"]))
        for place, key in PLACES.items():
            height = t["body"]["height_" + ("mid" if place == "middle" else place) + "_mm"]
            rows.append(("body", f"{v['level']} {place}", v["heights_mm"][key], height))
        rows.append(("canal", v["level"], v["canal"] and v["canal"]["area_mm2"], t["canal_area_mm2"]))
        rows.append(("hu", v["level"], v["trabecular_hu"] and v["trabecular_hu"]["mean"], truth["cancellous_hu"]))
    for d in spine["discs"]:
        t = levels.get(d["level"].split("_")[0])
        if not t or not d["measured"]:
            continue
        should = t["disc_below_heights_mm"]
        got = [d["heights_mm"][key] for key in PLACES.values()]
        rows += [("disc", f"{d['level']} {p}", g, should[p]) for p, g in zip(PLACES, got)]
        rows.append(("disc mean", d["level"], sum(got) / 3, sum(should[p] for p in PLACES) / 3))
        rows.append(("canal at disc", d["level"], d["canal"] and d["canal"]["area_mm2"], t["canal_area_disc_below_mm2"]))
    return [r for r in rows if r[2] is not None], wrong


def is_angle(kind):
    return kind in ("cobb", "lordosis", "kyphosis", "rotation")


def off(row):
    """How far off, in degrees or percent."""
    kind, _, got, should = row
    return got - should if is_angle(kind) else 100 * (got / should - 1)


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("work", type=pathlib.Path)
    ap.add_argument("--case", action="append")
    ap.add_argument("--program", default="build/fabrica")
    ap.add_argument("--models", default="models")
    ap.add_argument("--all", action="store_true")
    a = ap.parse_args()
    a.work.mkdir(parents=True, exist_ok=True)
    failed = False
    for case in a.case or CASES:
        twin, truth = build(case, a)
        rows, wrong = compared(measure(twin, a), truth)
        parts = []
        for kind in dict.fromkeys(r[0] for r in rows):
            of = [r for r in rows if r[0] == kind]
            most = max((abs(off(r)) for r in of))
            over = sum(abs(off(r)) > (DEGREES if is_angle(kind) else PERCENT) for r in of)
            unit = "deg" if is_angle(kind) else "%"
            mm = [r[2] - r[3] for r in of]
            rms = f", rms {(sum(x * x for x in mm) / len(mm)) ** 0.5:.2f} mm" if kind in ("body", "disc", "disc mean") else ""
            parts.append(f"{kind} {over}/{len(of)} worst {most:.1f} {unit}{rms}")
        print(f"{case}: " + "; ".join(parts) + (f"; WRONG NAMES {wrong}" if wrong else "; names right"))
        for r in rows:
            beyond = abs(off(r)) > (DEGREES if is_angle(r[0]) else PERCENT)
            failed |= beyond
            if beyond or a.all:
                print(f"    {r[0]} {r[1]}: {r[2]:.2f}, truth {r[3]:.2f}, off {r[2] - r[3]:+.2f} ({off(r):+.1f} {'deg' if is_angle(r[0]) else '%'})")
        failed |= bool(wrong)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
