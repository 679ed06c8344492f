#!/bin/sh
# fabrica bench: what it prints holds together. No speed is asserted, only that shares are shares.
. "$(dirname "$0")/lib.sh"

expect "unknown instruction set" 2 'no instruction set "mmx" runs here; these do: scalar' "$FABRICA" bench --isa mmx
expect "a patch the network cannot take" 2 "not a multiple of the network's 32" "$FABRICA" bench --patch 33
expect "no patch" 2 'from 1 to 512, not 0' "$FABRICA" bench --patch 0
expect "classes of a model" 2 'not with --model' "$FABRICA" bench --model unet-tiny --classes 3
expect "no such model" 3 'nobody' "$FABRICA" bench --model nobody

cat >check.py <<'PY'
import json, sys
d = json.load(open(sys.argv[1]))
n, model, edge, classes = d["network"], sys.argv[2], sys.argv[3], int(sys.argv[4])
names = [i["name"] for i in d["isas"]]
assert [i["name"] for i in d["isas"] if i["runs_network"]] == [n["isa"]], d["isas"]
assert all(i["peak_gflops_one_thread"] > 0 and i["peak_gflops_all_threads"] > 0 for i in d["isas"])
assert d["threads"] >= 1 and (n["model"] or "") == model and n["classes"] == classes, n
assert ",".join(map(str, n["patch"])) == edge, n["patch"]
assert 0 < n["percent_of_peak"] < 130, n["percent_of_peak"]
assert n["session_bytes"] > 0 and n["weights_bytes"] > 0 and n["cpu_s"] > 0 and n["wall_s"] > 0
assert len({row["name"] for row in n["layers"]}) == len(n["layers"]) == sum(g["operations"] for g in n["groups"])
for rows in (n["groups"], n["layers"]):
    assert abs(sum(r["gflop"] for r in rows) - n["gflop"]) < 1e-3, n["gflop"]
    assert all(0 < r["executed_gflop"] <= r["gflop"] or r["kind"] in ("pool", "add") for r in rows)
    assert 0 < sum(r["percent_of_time"] for r in rows) < 101
    assert all((r["load_cpu_s"] > 0) == (r["kind"] not in ("pool", "add")) for r in rows)
wanted = sys.argv[5].split(",") if len(sys.argv) > 5 else None
assert not wanted or names == wanted, names
assert wanted or "scalar" in names and len(set(names)) == len(names), names
PY
# measured FILE MODEL PATCH CLASSES [ISAS]: bench's options are in $options
measured() {
    # shellcheck disable=SC2086
    "$FABRICA" bench --json $options >"$1" || bad "bench $options"
    holds "bench $options" /usr/bin/env python3 check.py "$@"
}
options="--patch 32" measured a.json "" 32,32,32 25
options="--patch 32 --classes 3 --threads 1" measured b.json "" 32,32,32 3
options="--model unet-tiny" measured c.json unet-tiny 8,12,16 5
options="--model unet-tiny --patch 8 --isa scalar" measured d.json unet-tiny 8,8,8 5 scalar
cp -r "$SOURCE/tests/golden/resenc_tiny" resenc
options="--model ./resenc --isa scalar" measured e.json ./resenc 8,12,16 4 scalar
expect "table" 0 "1 x head" "$FABRICA" bench --model unet-tiny
expect "layers" 0 "encoder 1.0 conv 3x3x3 stride 2x2x2 4->8" "$FABRICA" bench --model unet-tiny --layers

# Ctrl-C: the code and the words; how soon is tests/cli/test_stop.sh's business
cat >stop.py <<'PY'
import signal, subprocess, sys
p = subprocess.Popen([sys.argv[1], "bench", "--isa", "scalar", "--progress", "json"], stderr=subprocess.PIPE,
                     stdout=subprocess.PIPE, text=True,
                     preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)) # also under nohup
for line in p.stderr:
    if '"step":"peak"' in line:
        break
p.send_signal(signal.SIGINT)
out, err = p.communicate(timeout=60)
assert p.returncode == 130 and not out and ("stopped" in err or "cancelled" in err), (p.returncode, out, err)
PY
holds "Ctrl-C stops" /usr/bin/env python3 stop.py "$FABRICA"
finish
