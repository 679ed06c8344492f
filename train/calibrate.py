"""From pairs of confidence and Dice on held-out cases to a model card's "calibration", with its reliability plot.

    calibrate.py PAIRS.jsonl... [--source TEXT] [--card MODEL.json] [--plot OUT.svg] [--least 8]

PAIRS.jsonl: one JSON object a line: {"case", "structure", "confidence", "dice"}, and if known {"set"} ("phantom", "development" ...); lines without
a confidence (given labels) or a Dice are counted and left out. Method: isotonic regression (pool adjacent violators), blocks of at least three pairs, one
table for all structures ("*") and one for a structure where it has --least pairs and, judged on cases left out one at a time, is better than the common one. What is
reported and plotted is that left-out prediction, never the fit to itself. With --card the block is written into the card, otherwise printed.
"""

import argparse
import collections
import json
import pathlib
import sys

MIN_BLOCK = 3
MAX_KNOTS = 64  # FAB_MAX_CALIBRATION_KNOTS
COLOURS = {"phantom": "#0b6e99", "synthetic": "#0b6e99", "development": "#b4540a"}


def read_pairs(paths):
    pairs, skipped = [], 0
    for path in paths:
        for line in filter(str.strip, pathlib.Path(path).read_text().splitlines()):
            row = json.loads(line)
            c, d = row.get("confidence"), row.get("dice")
            if c is None or d is None or not (0 <= c <= 1 and 0 <= d <= 1):
                skipped += 1
                continue
            pairs.append({"case": str(row["case"]), "structure": row["structure"], "set": row.get("set", ""), "c": float(c), "d": float(d)})
    return pairs, skipped


def blocks_of(pairs):
    """Rising blocks [mean confidence, mean Dice, pairs] by confidence, none smaller than MIN_BLOCK if that can be."""
    blocks = []
    for p in sorted(pairs, key=lambda p: (p["c"], p["d"])):
        blocks.append([p["c"], p["d"], 1])
        while len(blocks) > 1 and (blocks[-2][2] < MIN_BLOCK or blocks[-2][1] >= blocks[-1][1]):
            merge_last(blocks)
    while len(blocks) > 1 and blocks[-1][2] < MIN_BLOCK:
        merge_last(blocks)
    return blocks


def merge_last(blocks):
    (c1, d1, n1), (c2, d2, n2) = blocks[-2:]
    n = n1 + n2
    blocks[-2:] = [[(c1 * n1 + c2 * n2) / n, (d1 * n1 + d2 * n2) / n, n]]


def thin(blocks):
    while len(blocks) > MAX_KNOTS:
        blocks = [b for i, b in enumerate(blocks) if i % 2 == 0 or i == len(blocks) - 1]
    return blocks


def expected(blocks, c):
    """As src/segment/calibration.c: linear between knots, constant beyond."""
    if c <= blocks[0][0]:
        return blocks[0][1]
    for (c1, d1, _), (c2, d2, _) in zip(blocks, blocks[1:]):
        if c <= c2:
            return d1 + (c - c1) / (c2 - c1) * (d2 - d1) if c2 > c1 else d2
    return blocks[-1][1]


def left_out(pairs):
    """For every pair what the common table of the other cases expects of it; and its own structure's (None: too few)."""
    common, own = [None] * len(pairs), [None] * len(pairs)
    for case in sorted({p["case"] for p in pairs}):
        others = [p for p in pairs if p["case"] != case]
        if not others:
            continue
        table = blocks_of(others)
        by_name = collections.defaultdict(list)
        for p in others:
            by_name[p["structure"]].append(p)
        for i, p in enumerate(pairs):
            if p["case"] != case:
                continue
            common[i] = expected(table, p["c"])
            mine = by_name[p["structure"]]
            if len(mine) >= MIN_BLOCK:
                own[i] = expected(blocks_of(mine), p["c"])
    return common, own


def mean(values):
    values = list(values)
    return sum(values) / len(values) if values else float("nan")


def choose(pairs, common, own, least):
    """Structures whose own table is better on cases left out, in every set by itself: many phantoms must not outvote one patient."""
    by_name = collections.defaultdict(lambda: collections.defaultdict(list))
    for i, p in enumerate(pairs):
        by_name[p["structure"]][p["set"]].append(i)

    def better(rows):
        if any(common[i] is None or own[i] is None for i in rows):
            return False
        return mean(abs(own[i] - pairs[i]["d"]) for i in rows) < mean(abs(common[i] - pairs[i]["d"]) for i in rows)

    return {name for name, sets in by_name.items() if sum(map(len, sets.values())) >= least and all(map(better, sets.values()))}


def table_json(name, pairs):
    blocks = thin(blocks_of(pairs))
    return {"structure": name, "n": len(pairs), "confidence": [round(b[0], 4) for b in blocks], "expected_dice": [round(b[1], 4) for b in blocks]}


def calibration(pairs, chosen, source, errors):
    cases = sorted({p["case"] for p in pairs})
    tables = [table_json("*", pairs)]
    tables += [table_json(name, [p for p in pairs if p["structure"] == name]) for name in sorted(chosen)]
    return {"quantity": "dice", "method": "isotonic regression", "source": source, "cases": len(cases), "pairs": len(pairs),
            "mean_absolute_error": {k: round(v, 4) for k, v in errors.items()}, "tables": tables}


# ---- plot ---------------------------------------------------------------------------------------------------------------------------------------


def panel(x0, title, axis, points, mae):
    size, y0 = 300, 70
    out = [f'<text x="{x0}" y="{y0 - 26}" font-size="14" font-weight="bold" fill="#1b2429">{title}</text>',
           f'<text x="{x0}" y="{y0 - 9}" font-size="12" fill="#5d6b74">mean absolute error {mae:.3f}</text>',
           f'<rect x="{x0}" y="{y0}" width="{size}" height="{size}" fill="#f7f9fa" stroke="#c9d3da"/>']
    for i in range(6):
        at = i / 5
        out.append(f'<text x="{x0 + at * size:.0f}" y="{y0 + size + 16}" font-size="11" fill="#5d6b74" text-anchor="middle">{at:.1f}</text>')
        out.append(f'<text x="{x0 - 6}" y="{y0 + size - at * size + 4:.0f}" font-size="11" fill="#5d6b74" text-anchor="end">{at:.1f}</text>')
    out.append(f'<path d="M{x0} {y0 + size}L{x0 + size} {y0}" stroke="#9aa8b1" stroke-dasharray="4 4" fill="none"/>')
    for x, d, group in points:
        out.append(f'<circle cx="{x0 + x * size:.1f}" cy="{y0 + size - d * size:.1f}" r="2.6" fill="{COLOURS.get(group, "#5d6b74")}" fill-opacity="0.55"/>')
    bins = collections.defaultdict(list)
    for x, d, _ in points:
        bins[min(int(x * 10), 9)].append((x, d))
    path = [(mean(x for x, _ in b), mean(d for _, d in b)) for _, b in sorted(bins.items()) if len(b) >= MIN_BLOCK]
    line = " ".join(f"{x0 + x * size:.1f},{y0 + size - d * size:.1f}" for x, d in path)
    out.append(f'<polyline points="{line}" fill="none" stroke="#1b2429" stroke-width="2"/>')
    out.append(f'<text x="{x0 + size / 2}" y="{y0 + size + 36}" font-size="12" fill="#1b2429" text-anchor="middle">{axis}</text>')
    return out


def plot(pairs, predicted, errors, source):
    raw = [(p["c"], p["d"], p["set"]) for p in pairs]
    calibrated = [(e, p["d"], p["set"]) for p, e in zip(pairs, predicted) if e is not None]
    cases = len({p["case"] for p in pairs})
    out = ['<svg xmlns="http://www.w3.org/2000/svg" width="780" height="440" viewBox="0 0 780 440" role="img" '
           'font-family="\'DejaVu Sans\', \'Segoe UI\', Helvetica, Arial, sans-serif">',
           "<title>Confidence against Dice, before and after calibration</title>", '<rect width="780" height="440" fill="#ffffff"/>']
    out += panel(60, "Mean probability", "mean probability of the network", raw, errors["probability"])
    out += panel(440, "Expected Dice, each case left out", "expected Dice", calibrated, errors["expected_dice"])
    groups = sorted({p["set"] for p in pairs if p["set"]})
    x = 60
    for g in groups:
        out.append(f'<circle cx="{x}" cy="425" r="4" fill="{COLOURS.get(g, "#5d6b74")}"/><text x="{x + 9}" y="429" font-size="11" fill="#5d6b74">{g}</text>')
        x += 30 + 8 * len(g)
    out.append(f'<text x="740" y="429" font-size="11" fill="#5d6b74" text-anchor="end">Dice upwards; {len(pairs)} structures of {cases} cases; line: means of tenths</text>')
    return "\n".join(out + ["</svg>", ""])


# ---- main ---------------------------------------------------------------------------------------------------------------------------------------


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pairs", nargs="+")
    parser.add_argument("--source", default="")
    parser.add_argument("--card", type=pathlib.Path)
    parser.add_argument("--plot", type=pathlib.Path)
    parser.add_argument("--least", type=int, default=8)
    args = parser.parse_args()
    pairs, skipped = read_pairs(args.pairs)
    if len({p["case"] for p in pairs}) < 2:
        sys.exit("calibrate.py: pairs of at least two cases are needed")
    common, own = left_out(pairs)
    chosen = choose(pairs, common, own, args.least)
    predicted = [own[i] if p["structure"] in chosen else common[i] for i, p in enumerate(pairs)]
    for group in sorted({p["set"] for p in pairs}):
        rows = [i for i, p in enumerate(pairs) if p["set"] == group and predicted[i] is not None]
        print(f"  {group or 'all'}: {mean(abs(pairs[i]['c'] - pairs[i]['d']) for i in rows):.3f} as it is, "
              f"{mean(abs(predicted[i] - pairs[i]['d']) for i in rows):.3f} calibrated ({len(rows)} pairs)", file=sys.stderr)
    errors = {"probability": mean(abs(p["c"] - p["d"]) for p in pairs),
              "expected_dice": mean(abs(e - p["d"]) for p, e in zip(pairs, predicted) if e is not None)}
    block = calibration(pairs, chosen, args.source, errors)
    print(f"{len(pairs)} pairs of {block['cases']} cases ({skipped} left out); mean absolute error {errors['probability']:.3f} as it is, "
          f"{errors['expected_dice']:.3f} calibrated; own tables: {', '.join(sorted(chosen)) or 'none'}", file=sys.stderr)
    if args.plot:
        args.plot.write_text(plot(pairs, predicted, errors, args.source))
    if not args.card:
        print(json.dumps(block, indent=1))
        return
    card = json.loads(args.card.read_text())
    card["calibration"] = block
    args.card.write_text(json.dumps(card, indent=1) + "\n")


if __name__ == "__main__":
    main()
