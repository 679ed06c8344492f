#!/usr/bin/python3
"""Our network engine, PyTorch and ONNX Runtime on the same network, in turns, by CPU time.

    bench/engine/engine.py BUILD [--set 1.5mm|3mm] [--rounds N] [--json FILE] [--plot FILE.svg]

Every run is a process of its own: it loads the network, runs the patch once to warm up and once
timed. A round runs every setting of every engine once; the best time of each counts, so that other
work on the machine burdens none more than another. Peers get several settings, and each of their
figures is the best of any setting: CPU time of one and memory of another if need be. Logits of all
engines are compared. `npm ci --prefix bench/engine --ignore-scripts` installs ONNX Runtime; without
it that peer is left out, without torch (Debian's python3-torch) nothing runs (exit 77).
"""

import argparse
import datetime
import json
import os
import pathlib
import platform
import subprocess
import sys
import tempfile

import network
import plot

HERE = pathlib.Path(__file__).resolve().parent
# Freed memory is kept for the next layer instead of being given back and zeroed again.
KEEP = {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": "100000000000"}


def torch_command(env, batch, *more):
    return lambda b: ([sys.executable, HERE / "peer_torch.py", b.folder, *b.patch, "--batch", batch, *more],
                      env, ["--save", b.logits])


def onnx_command(memory):
    return lambda b: (["node", HERE / "peer_onnxruntime.mjs", b.onnx, b.folder / "input.f32", *b.patch, b.threads,
                       memory], {}, [b.logits])


def our_command(precision):
    return lambda b: ([b.program, b.folder, *b.patch, precision], {}, [b.logits])


# (engine, precision, setting, command): a further variant is a further line.
CONTESTANTS = [
    ("Fabrica", "fp32", "best instruction set", our_command("fp32")),
    ("Fabrica", "bf16", "best instruction set", our_command("bf16")),
    ("Fabrica", "exact", "best instruction set", our_command("exact")),
    ("ONNX Runtime", "fp32", "memory arena", onnx_command("arena")),
    ("ONNX Runtime", "fp32", "no arena", onnx_command("plain")),
    ("PyTorch", "fp32", "one patch", torch_command({}, 1)),
    ("PyTorch", "fp32", "one patch, malloc keeps memory", torch_command(KEEP, 1)),
    ("PyTorch", "fp32", "half of two, malloc keeps memory", torch_command(KEEP, 2)),
    ("PyTorch", "bf16", "autocast, malloc keeps memory", torch_command(KEEP, 1, "--bf16")),
]


class Bench:
    """One network in a folder, and how often it runs."""

    def __init__(self, args, folder):
        self.folder = pathlib.Path(folder)
        self.name = args.set
        self.program = args.build / "bench/bench_patch"
        self.patch, self.classes, _ = network.SETS[args.set]
        self.threads = len(os.sched_getaffinity(0))
        self.onnx = self.folder / "network.onnx"
        self.logits = self.folder / "logits.f32"
        self.reference = None

    def prepare(self):
        """Weights, input and the ONNX file. False: no torch here."""
        network.write(self.folder, self.name)
        command = [sys.executable, HERE / "peer_torch.py", self.folder, *self.patch, "--export", self.onnx]
        done = subprocess.run([str(c) for c in command], capture_output=True, text=True)
        if done.returncode not in (0, 77):
            sys.exit(done.stderr)
        return done.returncode == 0

    def run(self, contestant, first):
        """A run's figures, None where the engine is not installed."""
        engine, precision, setting, command = contestant
        args, env, save = command(self)
        done = subprocess.run([str(c) for c in args + (save if first else [])], capture_output=True, text=True,
                              env={**os.environ, **env})
        if done.returncode == 77:
            print(done.stderr.strip(), file=sys.stderr)
            return None
        if done.returncode:
            sys.exit(f"{engine}, {setting}: exit {done.returncode}\n{done.stderr}")
        run = {"engine": engine, "precision": precision, "setting": setting, **json.loads(done.stdout)}
        if first:
            run["logits"] = self.take_logits()
        print(f"{engine} {precision} ({setting}): {run['cpu_s']:.2f} CPU s, {run['wall_s']:.2f} s, "
              f"{run['peak_rss_bytes'] / 1e9:.2f} GB", file=sys.stderr, flush=True)
        return run

    def take_logits(self):
        import numpy as np

        values = np.fromfile(self.logits, "<f4")
        self.logits.unlink()
        return values


def relative_rms(values, reference):
    import numpy as np

    difference = values.astype(np.float64) - reference
    return float(np.sqrt(np.mean(difference**2) / np.mean(reference.astype(np.float64) ** 2)))


def compare(runs):
    """Replaces the logits by their distance from PyTorch's fp32 ones."""
    reference = next(r["logits"] for r in runs if (r["engine"], r["precision"]) == ("PyTorch", "fp32"))
    for run in runs:
        if "logits" in run:
            logits = run.pop("logits")
            run["relative_rms"] = 0.0 if logits is reference else relative_rms(logits, reference)


def best_rows(runs, gflop):
    """One row an engine and precision: the least of any setting and round, figure by figure."""
    rows = {}
    for run in runs:
        row = rows.setdefault((run["engine"], run["precision"]),
                              {"engine": run["engine"], "precision": run["precision"], "version": run["version"]})
        for figure in ("cpu_s", "wall_s", "peak_rss_bytes"):
            if figure not in row or run[figure] < row[figure]:
                row[figure] = run[figure]
                row["setting_of_" + figure] = run["setting"]
        if "peak_gflops_per_cpu_s" in run:
            row["peak_gflops_per_cpu_s"] = max(row.get("peak_gflops_per_cpu_s", 0), run["peak_gflops_per_cpu_s"])
            row["isa"] = run["isa"]
            row["executed_gflop"] = run["executed_gflop"]
        row["relative_rms"] = max(row.get("relative_rms", 0.0), run.get("relative_rms", 0.0))
    for row in rows.values():
        row["gflops_per_cpu_s"] = round(gflop / row["cpu_s"], 2)
        if "peak_gflops_per_cpu_s" in row:
            percent = 100 / row["cpu_s"] / row["peak_gflops_per_cpu_s"]
            row["percent_of_peak"] = round(gflop * percent, 1)
            row["percent_of_peak_executed"] = round(row["executed_gflop"] * percent, 1)
    return list(rows.values())


def ratios(rows):
    """How many times less CPU time each of our precisions takes than each peer."""
    ours = [r for r in rows if r["engine"] == "Fabrica"]
    return [{"ours": o["precision"], "peer": f"{p['engine']} {p['precision']}",
             "times_less_cpu": round(p["cpu_s"] / o["cpu_s"], 2),
             "times_less_memory": round(p["peak_rss_bytes"] / o["peak_rss_bytes"], 2)}
            for o in ours for p in rows if p["engine"] != "Fabrica"]


def processor():
    for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.machine()


def summarise(name, runs, threads, load):
    patch, classes, _ = network.SETS[name]
    gflop = network.gflop(network.architecture(name), patch)
    rows = best_rows(runs, gflop)
    return {
        "network": {"name": name, "patch": patch, "classes": classes, "features": network.FEATURES,
                    "gflop": round(gflop, 3)},
        "machine": {"processor": processor(), "threads": threads, "load_average_before_and_after": load},
        "date": datetime.date.today().isoformat(),
        "rows": rows,
        "ratios": ratios(rows),
        "runs": runs,
    }


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("build", type=pathlib.Path)
    ap.add_argument("--set", choices=network.SETS, default="1.5mm")
    ap.add_argument("--rounds", type=int, default=3)
    ap.add_argument("--json", type=pathlib.Path)
    ap.add_argument("--plot", type=pathlib.Path)
    args = ap.parse_args()
    load = [os.getloadavg()]
    with tempfile.TemporaryDirectory() as folder:
        bench, runs, missing = Bench(args, folder), [], set()
        if not bench.prepare():
            print("skipped: no torch, no network to compare", file=sys.stderr)
            return 77
        for number in range(args.rounds):
            for contestant in CONTESTANTS:
                if contestant in missing:
                    continue
                run = bench.run(contestant, number == 0)
                if run is None:
                    missing.add(contestant)
                else:
                    runs.append({**run, "round": number})
            if number == 0:
                compare(runs)
    load.append(os.getloadavg())
    result = summarise(args.set, runs, bench.threads, load)
    text = json.dumps(result, indent=1) + "\n"
    if args.json:
        args.json.write_text(text)
    else:
        sys.stdout.write(text)
    if args.plot:
        args.plot.write_text(plot.svg(result))
    return 0


if __name__ == "__main__":
    sys.exit(main())
