#!/bin/sh
# Stopping: Ctrl-C and SIGTERM within a second and without leftovers, kill -9 and what the next run
# does about it, a full disk.
. "$(dirname "$0")/lib.sh"
"$FABRICA" phantom --quiet --spacing 3 --seed 7 -o patient || bad phantom

# stop NAME SIGNAL CODE STEP: sends the signal when the step begins
stop() {
    rm -rf run && mkdir run
    "$FABRICA" twin patient/dicom --labels patient/truth/labels.nii.gz -o run/case --progress json \
        2>progress.jsonl >/dev/null &
    pid=$!
    n=0
    until grep -q "\"step\":\"$4\"" progress.jsonl 2>/dev/null || [ $n -ge 600 ]; do
        sleep 0.05
        n=$((n + 1))
    done
    before=$(date +%s%N)
    kill -s "$2" $pid
    wait $pid
    code=$?
    took=$((($(date +%s%N) - before) / 1000000))
    if [ $code -ne "$3" ]; then bad "$1" "exit $code, not $3"
    elif [ -n "$(ls -A run)" ]; then bad "$1" "left: $(ls -A run)"
    elif [ $took -gt 1500 ]; then bad "$1" "took $took ms"
    else ok "$1 ($took ms)"; fi
}
# `sh` starts background jobs with SIGINT ignored, so the interrupt is sent from a subshell of bash
stop "SIGTERM while reading" TERM 143 read
stop "SIGTERM while meshing" TERM 143 mesh
stop "SIGTERM while measuring" TERM 143 measure
stop "SIGTERM while exporting" TERM 143 export
/usr/bin/env python3 - "$FABRICA" <<'PY' && ok "Ctrl-C, nothing left" || bad "Ctrl-C, nothing left"
import os, pathlib, signal, subprocess, sys, time
p = subprocess.Popen([sys.argv[1], "twin", "patient/dicom", "--labels", "patient/truth/labels.nii.gz", "-o",
                      "ctrlc", "--progress", "json"], stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
for line in p.stderr:
    if '"step":"mesh"' in line:
        break
began = time.time()
p.send_signal(signal.SIGINT)
text = p.stderr.read()
assert p.wait() == 130 and time.time() - began < 1.5, (p.returncode, time.time() - began)
assert not list(pathlib.Path(".").glob("ctrlc*")), list(pathlib.Path(".").glob("ctrlc*"))
PY

# killed outright: the half case stays under its temporary name, and the next run removes it
"$FABRICA" twin patient/dicom --labels patient/truth/labels.nii.gz -o killed --progress json 2>progress.jsonl >/dev/null &
pid=$!
n=0
until grep -q '"step":"mesh"' progress.jsonl 2>/dev/null || [ $n -ge 600 ]; do sleep 0.05; n=$((n + 1)); done
kill -s KILL $pid
wait $pid 2>/dev/null
[ ! -e killed ] && [ "$(ls -d killed.tmp-* | wc -l)" -eq 1 ] && ok "kill -9 leaves no case" || bad "kill -9 leaves no case"
"$FABRICA" twin patient/dicom --labels patient/truth/labels.nii.gz -o killed -q --format nifti || bad "run after kill -9"
[ -e killed/manifest.json ] && nothing_left "the next run tidies up" .

# disk full, by a limit on file sizes and, where mounting is allowed, by a small file system
mkdir full
"$FABRICA" twin patient/dicom --labels patient/truth/labels.nii.gz -o whole -q --format nifti || bad "run to be limited"
(ulimit -f 400; "$FABRICA" twin whole/volume.nii.gz --labels patient/truth/labels.nii.gz -o full/case >.out 2>&1)
code=$?
[ $code -eq 5 ] && [ -z "$(ls -A full)" ] && ok "file size limit" || bad "file size limit" "exit $code, $(cat .out), left: $(ls -A full)"
cat >small.sh <<'SH'
mount -t tmpfs -o size=600k tmpfs full || exit 99
"$1" twin patient/dicom --labels patient/truth/labels.nii.gz -o full/case
code=$?
[ -z "$(ls -A full)" ] || exit 98
exit $code
SH
unshare --map-root-user --mount sh small.sh "$FABRICA" >.out 2>&1
code=$?
case $code in
5) grep -q "No space left on device" .out && ok "disk full" || bad "disk full" "$(cat .out)" ;;
1 | 99) echo "skipped  disk full (no right to mount)" ;;
*) bad "disk full" "exit $code: $(cat .out)" ;;
esac
finish
