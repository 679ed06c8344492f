#!/usr/bin/env python3
"""bench/engine on made-up figures: nothing is timed and no other engine is needed."""
import os
import pathlib
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as tree

root = pathlib.Path(os.environ["FAB_SOURCE_ROOT"])
sys.path.insert(0, str(root / "bench/engine"))
sys.dont_write_bytecode = True
import engine  # noqa: E402
import network  # noqa: E402
import plot  # noqa: E402

SVG = "{http://www.w3.org/2000/svg}"


def run(name, precision, setting, cpu, rss, **more):
    return {"engine": name, "precision": precision, "setting": setting, "version": "1.2.3", "cpu_s": cpu,
            "wall_s": cpu / 2, "peak_rss_bytes": rss, **more}


RUNS = [
    run("Fabrica", "fp32", "best", 4.5, 1.1e9, isa="avx512", executed_gflop=400.0, peak_gflops_per_cpu_s=250.0, relative_rms=2e-6),
    run("Fabrica", "fp32", "best", 4.0, 1.0e9, isa="avx512", executed_gflop=400.0, peak_gflops_per_cpu_s=260.0),
    run("Fabrica", "bf16", "best", 1.0, 0.6e9, isa="avx512", executed_gflop=400.0, peak_gflops_per_cpu_s=1000.0),
    run("Peer", "fp32", "fast", 8.0, 6.0e9, relative_rms=1e-6),
    run("Peer", "fp32", "small", 12.0, 2.0e9),
    run("Peer & <son>", "fp32", "only", 40.0, 9.0e9),
]


def flops():
    arch = network.architecture("1.5mm")
    assert abs(network.gflop(arch, [128, 128, 128]) - 957.55) < 0.01, network.gflop(arch, [128, 128, 128])
    weights = [(n, s) for n, s, _, _ in network.shapes(arch) if n.endswith("conv.weight")]
    assert len(weights) == 22 and len({n for n, _ in weights}) == 22
    assert weights[0][1] == (32, 1, 3, 3, 3) and weights[-1][1] == (32, 32, 3, 3, 3)


def arithmetic():
    rows = {(r["engine"], r["precision"]): r for r in engine.best_rows(RUNS, 800.0)}
    ours, peer = rows["Fabrica", "fp32"], rows["Peer", "fp32"]
    assert (ours["cpu_s"], ours["gflops_per_cpu_s"], ours["percent_of_peak"]) == (4.0, 200.0, 76.9), ours
    assert ours["percent_of_peak_executed"] == 38.5, ours
    assert ours["relative_rms"] == 2e-6 and "percent_of_peak" not in peer
    # each figure of a peer from its best setting
    assert (peer["cpu_s"], peer["setting_of_cpu_s"]) == (8.0, "fast"), peer
    assert (peer["peak_rss_bytes"], peer["setting_of_peak_rss_bytes"]) == (2.0e9, "small"), peer
    least = {(r["ours"], r["peer"]): r for r in engine.ratios(list(rows.values()))}
    assert len(least) == 4 and least["fp32", "Peer fp32"]["times_less_cpu"] == 2.0
    assert least["bf16", "Peer fp32"]["times_less_cpu"] == 8.0
    assert least["fp32", "Peer fp32"]["times_less_memory"] == 2.0


def picture():
    data = engine.summarise("3mm", RUNS, 2, [[0, 0, 0]])
    root_element = tree.fromstring(plot.svg(data))
    bars = [r for r in root_element.iter(SVG + "rect") if r.get("height") == str(plot.BAR)]
    words = ["".join(t.itertext()) for t in root_element.iter(SVG + "text")]
    assert len(bars) == 8, len(bars)
    width = [float(b.get("width")) for b in bars]
    for got, wanted in zip(width[:4], (1.0, 4.0, 8.0, 40.0)):
        assert abs(got / width[3] - wanted / 40.0) < 2e-3, width
    assert bars[0].get("fill") == bars[1].get("fill") != bars[2].get("fill")
    for b in bars:
        assert float(b.get("x")) + float(b.get("width")) + plot.ROOM <= plot.WIDTH, b.attrib
    for wanted in ("4.00 s", "2.0x", "10.0x", "2.00 GB", "Peer & <son> 1.2", "bf16"):
        assert wanted in words, (wanted, words)
    assert any("112 x 112 x 128 voxels, 118 classes" in w for w in words)
    assert not any("Winograd" in w for w in words)
    RUNS[0]["executed_gflop"] = RUNS[1]["executed_gflop"] = 150.0
    faster = engine.summarise("3mm", [{**r, "cpu_s": r["cpu_s"] / 3} for r in RUNS], 2, [[0, 0, 0]])
    assert "Winograd" in plot.svg(faster)
    title = root_element.find(SVG + "title").text
    assert title == "fp32: 2.0 times less CPU than Peer", title


def missing_peer():
    """A peer that is not installed is left out, and says so."""
    with tempfile.TemporaryDirectory() as folder:
        script = pathlib.Path(folder) / "peer_onnxruntime.mjs"
        script.write_bytes((root / "bench/engine/peer_onnxruntime.mjs").read_bytes())
        try:
            done = subprocess.run(["node", str(script)], capture_output=True, text=True)
        except FileNotFoundError:
            return
        assert done.returncode == 77 and "npm ci" in done.stderr, done


for test in (flops, arithmetic, picture, missing_peer):
    test()
    print("ok", test.__name__)
