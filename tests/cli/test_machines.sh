#!/bin/sh
# The same program on machines without AVX-512, and without AVX2 either, as qemu emulates them: it finds out by itself what
# executes, and the labels it writes are the same bytes.
. "$(dirname "$0")/lib.sh"
QEMU=$(command -v qemu-x86_64) || { echo "skipped: no qemu-x86_64"; exit 77; }
[ "$(uname -m)" = x86_64 ] || { echo "skipped: not an x86-64"; exit 77; }
# An emulator backs all of a sanitizer's shadow memory: it would take the whole machine's.
[ -z "${FAB_TEST_SLOWDOWN:-}" ] || { echo "skipped: under a sanitizer"; exit 77; }

# A soft body in air with a dense column, 4 mm voxels: NIfTI, since qemu has no seccomp for the worker that decodes DICOM.
image=body.nii
/usr/bin/env python3 - $image <<'PY' || bad "image"
import array, struct, sys
n, mm = (20, 18, 12), 4.0
h = bytearray(352)
struct.pack_into("<i", h, 0, 348)
struct.pack_into("<8h", h, 40, 3, *n, 1, 1, 1, 1)
struct.pack_into("<hh", h, 70, 4, 16)
struct.pack_into("<8f", h, 76, 1, mm, mm, mm, 1, 1, 1, 1)
struct.pack_into("<fff", h, 108, 352, 1, 0)
h[123] = 2
struct.pack_into("<hh", h, 252, 0, 1)
struct.pack_into("<12f", h, 280, mm, 0, 0, 0, 0, mm, 0, 0, 0, 0, mm, 0)
h[344:348] = b"n+1\0"
v = array.array("h")
for z in range(n[2]):
    for y in range(n[1]):
        for x in range(n[0]):
            a, b = (x - 9.5) / 8, (y - 8.5) / 6
            column = (x - 9.5) ** 2 + (y - 6) ** 2 < 5
            v.append(-1000 if a * a + b * b > 1 else 400 + 10 * z if column else 40 + (7 * x + 5 * y + 3 * z) % 30)
open(sys.argv[1], "wb").write(bytes(h) + v.tobytes())
PY

# on CPU NAME ISA: the emulated machine runs ISA and nothing wider, and segments as this one does
on() {
    cpu=$1 machine=$2 isa=$3
    "$QEMU" -cpu "$cpu" "$FABRICA" bench --json --model unet-tiny --patch 8 >"$machine.json" 2>/dev/null
    expect "$machine runs $isa" 0 "chosen $isa" /usr/bin/env python3 -c "
import json
d = json.load(open('$machine.json'))
print('chosen', d['network']['isa'], 'of', [i['name'] for i in d['isas']])
assert 'avx512' not in [i['name'] for i in d['isas']]"
    holds "$machine segments" "$QEMU" -cpu "$cpu" "$FABRICA" segment -q --precision fp32 "$image" -o "$machine.nii.gz"
    holds "the same labels" cmp here.nii.gz "$machine.nii.gz"
}
holds "this machine segments" "$FABRICA" segment -q --precision fp32 "$image" -o here.nii.gz
holds "and finds something" /usr/bin/env python3 -c "
import gzip
assert len(set(gzip.open('here.nii.gz').read()[352:])) > 2"
on Nehalem,-avx plain scalar
on max,-avx512f narrow avx2
finish
