#!/bin/sh
# fabrica view --bundle where it goes wrong: places that cannot be written, disks that are full, cases
# that are broken, a run that is killed. Nothing half may ever stand under the page's name.
. "$(dirname "$0")/lib.sh"
[ -f "$SOURCE/web/dist/bundle/bundle.html" ] || { echo "skipped: web/dist is not built"; exit 77; }
phantom patient 7
"$FABRICA" twin patient/dicom --labels patient/truth/labels.nii.gz -o case -q --format glb-headset || bad twin
bundle() { c=$1; shift; "$FABRICA" view "$c" --web "$SOURCE/web/dist" --bundle "$@"; }
absent() { [ ! -e "$2" ] && ok "$1" || bad "$1" "$2 is there"; }

# places
expect "no such folder" 1 "nowhere/page.html" bundle case nowhere/page.html
mkdir folder.html
expect "a folder of that name" 1 "folder.html" bundle case folder.html
expect "a full device" 2 "/dev/full is a device" bundle case /dev/full
[ -c /dev/full ] && ok "and it is one still" || bad "and it is one still"
mkfifo pipe.html
expect "a pipe" 2 "pipe.html is a device or a pipe" bundle case pipe.html
mkdir locked && chmod 555 locked
if [ "$(id -u)" != 0 ]; then expect "a folder that may not be written" 1 "Permission denied" bundle case locked/page.html
elif chmod 755 "$WORK" && setpriv --reuid 65534 --clear-groups test -x "$FABRICA" -a -r "$SOURCE/web/dist/index.html" 2>/dev/null; then
    expect "a folder that may not be written" 1 "Permission denied" setpriv --reuid 65534 --clear-groups \
        "$FABRICA" view case --web "$SOURCE/web/dist" --bundle locked/page.html
fi
absent "nothing in it" locked/page.html

# no room: a file that may not grow stands for a full disk; what was there stays
echo "the page before" >page.html
small() { (ulimit -f "$1"; shift; bundle "$@"); }
expect "no room for the first block" 5 "page.html: write failed" small 100 case page.html
expect "no room at the end" 5 "page.html: write failed" small 2500 case page.html
[ "$(cat page.html)" = "the page before" ] && ok "the page before is whole" || bad "the page before is whole"
if mkdir room && mount -t tmpfs -o size=1m none room 2>/dev/null; then
    expect "a full disk" 5 "No space left" bundle case room/page.html
    absent "nothing on it" room/page.html
    umount room
fi

# cases
broken() { # NAME FILE: a copy of the case to break
    rm -rf broken
    cp -r case broken
    eval "$2"
}
broken cut 'head -c 30000 case/volume.nii.gz >broken/volume.nii.gz'
expect "a CT that is cut" 3 "volume.nii.gz: truncated" bundle broken bad.html
expect "is left out where nobody wants it" 0 "structures" bundle broken bare.html --bundle-ct none
broken noise 'head -c 50000 case/preview.png >broken/volume.nii.gz'
expect "a CT that is none" 3 "volume.nii.gz: not a NIfTI file" bundle broken bad.html
broken nothing ': >broken/volume.nii.gz'
expect "a CT of no bytes" 3 "volume.nii.gz: empty" bundle broken bad.html
broken gone 'rm broken/volume.nii.gz'
expect "a CT that is gone" 3 "volume.nii.gz: No such file" bundle broken bad.html
broken labels 'head -c 1000 case/labels.nii.gz >broken/labels.nii.gz'
expect "labels that are cut" 3 "labels.nii.gz: truncated" bundle broken bad.html
broken model ': >broken/export/twin.headset.glb'
expect "structures that are gone" 1 "twin.headset.glb is gone" bundle broken bad.html
broken json 'head -c 3000 case/manifest.json >broken/manifest.json'
expect "a manifest that is cut" 3 "manifest.json" bundle broken bad.html
/usr/bin/env python3 - patient/truth/labels.nii.gz none.nii.gz <<'PY'
import gzip, sys
data = bytearray(gzip.open(sys.argv[1]).read())
data[352:] = bytes(len(data) - 352)
gzip.open(sys.argv[2], "wb").write(data)
PY
"$FABRICA" twin patient/dicom --labels none.nii.gz -o empty -q --format glb-headset || bad "a twin without structures"
expect "no structures" 3 "empty holds no structures" bundle empty bad.html
absent "nothing is left of a failure" bad.html
nothing_left "no temporary file" .

# killed at any moment: the whole page or none
took=$(/usr/bin/env python3 - "$FABRICA" "$SOURCE/web/dist" <<'PY'
import pathlib, subprocess, sys, time
command = [sys.argv[1], "view", "case", "--web", sys.argv[2], "--bundle", "killed.html"]
page = pathlib.Path("killed.html")
began = time.monotonic()
subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
took = time.monotonic() - began
whole = page.read_bytes()
seen = {"none": 0, "whole": 0}
for n in range(40):
    page.unlink(missing_ok=True)
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    time.sleep(took * n / 32)
    child.kill()
    child.wait()
    if page.exists():
        assert page.read_bytes() == whole, f"half a page after {n}"
    seen["whole" if page.exists() else "none"] += 1
    left = [p.name for p in pathlib.Path(".").iterdir() if ".tmp-" in p.name]
    assert not left, f"{left} after {n}"
print(seen)
PY
) && ok "killed: $took" || bad "killed while it writes" "$took"

# A file system that knows no files without names (a filter stands for it): the half page has one
# while it is written, and is removed when the program is told to stop.
stopped=$(/usr/bin/env python3 - "$FABRICA" "$SOURCE/web/dist" <<'PY'
import ctypes, pathlib, platform, signal, struct, subprocess, sys, time
command = [sys.argv[1], "view", "case", "--web", sys.argv[2], "--bundle", "stopped.html"]
openat = {"x86_64": 257, "aarch64": 56}[platform.machine()]
rules = [(0x20, 0, 0, 0), (0x15, 0, 3, openat), (0x20, 0, 0, 32), (0x45, 0, 1, 0o20000000),
         (0x06, 0, 0, 0x00050000 | 95), (0x06, 0, 0, 0x7FFF0000)]  # O_TMPFILE: EOPNOTSUPP
code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *r) for r in rules))
class Filter(ctypes.Structure):
    _fields_ = [("count", ctypes.c_ushort), ("code", ctypes.c_void_p)]
filter = Filter(len(rules), ctypes.addressof(code))
libc = ctypes.CDLL(None, use_errno=True)
def without():
    if libc.prctl(38, 1, 0, 0, 0) or libc.prctl(22, 2, ctypes.byref(filter)):
        raise OSError(ctypes.get_errno(), "prctl")
halves = lambda: list(pathlib.Path(".").glob("stopped.html.tmp-*"))
seen = 0
for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
    page = pathlib.Path("stopped.html")
    page.unlink(missing_ok=True)
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, preexec_fn=without)
    while child.poll() is None and not halves():
        time.sleep(0.001)
    seen += bool(halves())
    child.send_signal(number)
    child.wait()
    assert not halves(), f"{halves()} after {number.name}"
    assert page.exists() == (child.returncode == 0), child.returncode
assert seen, "no half page was ever seen"
print(f"{seen} of 3 while it wrote")
PY
) && ok "told to stop: $stopped" || bad "told to stop" "$stopped"
finish
