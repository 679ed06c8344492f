#!/usr/bin/python3
"""The picture of engine.py's figures: bars of CPU time and of memory, as SVG.

    bench/engine/plot.py FIGURES.json PICTURE.svg
"""

import json
import pathlib
import sys
from xml.sax.saxutils import escape

WIDTH, MARGIN = 880, 24
LABELS = 196                     # width of the names of the rows
GAP = 40                         # between the two panels
BAR, PITCH = 22, 34              # height of a bar, from one row to the next
TOP = 108                        # above the first row
ROOM = 108                       # right of the longest bar, for its numbers
FONT = "font-family=\"'DejaVu Sans', 'Segoe UI', Helvetica, Arial, sans-serif\""
OURS, PEER, INK, QUIET, LINE = "#0b6e8a", "#b9c2c9", "#1b2429", "#5d6b74", "#dfe4e7"


def text(x, y, words, size=13, color=INK, anchor="start", weight="normal"):
    return (f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" fill="{color}" text-anchor="{anchor}" '
            f'font-weight="{weight}">{escape(words)}</text>')


def bar(x, y, width, color):
    return f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{BAR}" fill="{color}"/>'


def name_of(row):
    version = "" if row["engine"] == "Fabrica" else " " + ".".join(row["version"].split(".")[:2])
    return f"{row['engine']}{version}", row["precision"]


def times_ours(row, rows, value):
    """How many times ours of the same precision, as words; "" for ours and where there is none."""
    ours = [value(r) for r in rows if r["engine"] == "Fabrica" and r["precision"] == row["precision"]]
    return f"{value(row) / ours[0]:.1f}x" if ours and row["engine"] != "Fabrica" else ""


def panel(rows, x, width, title, value, label, inside):
    """One column of bars; `inside` gives the words in a bar, "" for none."""
    scale = (width - ROOM) / max(value(r) for r in rows)
    out = [text(x, TOP - 16, title, 12.5, QUIET),
           f'<line x1="{x}" y1="{TOP - 6}" x2="{x}" y2="{TOP + PITCH * len(rows) - 6}" stroke="{LINE}"/>']
    for i, row in enumerate(rows):
        ours = row["engine"] == "Fabrica"
        y, length = TOP + i * PITCH, value(row) * scale
        out.append(bar(x, y, length, OURS if ours else PEER))
        out.append(text(x + length + 7, y + 16, label(row), 13, INK, weight="bold" if ours else "normal"))
        out.append(text(x + length + 13 + 8 * len(label(row)), y + 16, times_ours(row, rows, value), 12, QUIET))
        words = inside(row)
        if words and len(words) * 6.4 + 16 < length:
            out.append(text(x + 8, y + 15.5, words, 11.5, "#ffffff"))
    return out


def share_of_peak(row):
    return f"{row['percent_of_peak']:.0f} %" if "percent_of_peak" in row else ""


def note_on_peak(rows):
    words = "In the bars: share of the processor's peak of multiply-adds, measured in the same process"
    if any(r.get("percent_of_peak", 0) > 100 for r in rows):
        words += "; above 100 % by Winograd's algorithm"
    return words + "."


def headline(data):
    """The least that ours of each precision gains over the best peer of the same one."""
    rows = data["rows"]
    parts = []
    for ours in (r for r in rows if r["engine"] == "Fabrica"):
        peers = [r for r in rows if r["engine"] != "Fabrica" and r["precision"] == ours["precision"]]
        if peers:
            best = min(peers, key=lambda r: r["cpu_s"])
            times = best["cpu_s"] / ours["cpu_s"]
            parts.append(f"{ours['precision']}: {times:.1f} times less CPU than {best['engine']}")
    return "; ".join(parts)


def svg(data):
    rows = sorted(data["rows"], key=lambda r: r["cpu_s"])
    net, machine = data["network"], data["machine"]
    left = (WIDTH - 2 * MARGIN - LABELS - GAP) * 0.6
    x, right = MARGIN + LABELS, MARGIN + LABELS + left + GAP
    height = TOP + PITCH * len(rows) + 54
    shape = " x ".join(str(n) for n in net["patch"])
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" '
           f'viewBox="0 0 {WIDTH} {height}" role="img" {FONT}>',
           f'<title>{escape(headline(data))}</title>',
           f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>',
           text(MARGIN, 34, f"One patch of a TotalSegmentator network: {shape} voxels, {net['classes']} classes",
                17, weight="bold"),
           text(MARGIN, 58, f"{net['gflop']:.0f} GFLOP, the same random weights; {machine['processor']}, "
                f"{machine['threads']} threads", 13, QUIET)]
    for i, row in enumerate(rows):
        name, precision = name_of(row)
        weight = "bold" if row["engine"] == "Fabrica" else "normal"
        y = TOP + i * PITCH + 16
        out.append(text(MARGIN, y, name, 13, weight=weight))
        out.append(text(MARGIN + LABELS - 14, y, precision, 12.5, QUIET, "end"))
    out += panel(rows, x, left, "CPU seconds (x: times ours, same precision)", lambda r: r["cpu_s"],
                 lambda r: f"{r['cpu_s']:.2f} s", share_of_peak)
    out += panel(rows, right, WIDTH - MARGIN - right, "peak memory of the process",
                 lambda r: r["peak_rss_bytes"], lambda r: f"{r['peak_rss_bytes'] / 1e9:.2f} GB", lambda r: "")
    out.append(text(MARGIN, height - 34, "Each engine in turns, each figure the best of several settings and "
                    "rounds (bench/engine, " + data["date"] + ").", 11.5, QUIET))
    out.append(text(MARGIN, height - 17, note_on_peak(rows), 11.5, QUIET))
    return "\n".join(out) + "\n</svg>\n"


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    data = json.loads(pathlib.Path(sys.argv[1]).read_text())
    pathlib.Path(sys.argv[2]).write_text(svg(data))


if __name__ == "__main__":
    main()
