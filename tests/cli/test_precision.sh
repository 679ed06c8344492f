#!/bin/sh
# --precision: a trained network in bf16 labels what it labels in fp32; what was used is said.
. "$(dirname "$0")/lib.sh"
trained="--models $SOURCE/models --model torso-ct"

cat >dice.py <<'PY'
import collections, gzip, struct, sys
def read(path):
    d = gzip.open(path).read()
    assert struct.unpack_from("<h", d, 70)[0] == 2, "not U8"
    return d[int(struct.unpack_from("<f", d, 108)[0]):]
a, b = read(sys.argv[1]), read(sys.argv[2])
assert len(a) == len(b)
size, both = collections.Counter(a), collections.Counter()
size.update(b)
for (x, y), n in collections.Counter(zip(a, b)).items():
    if x == y: both[x] += n
dice = {label: 2 * both[label] / size[label] for label in size if label}
least = min(dice, key=dice.get)
print(f"{len(dice)} structures, least Dice {dice[least]:.5f} (value {least})")
assert len(dice) >= 20 and dice[least] >= float(sys.argv[3])
PY

"$FABRICA" phantom -q --spacing 3 --seed 5 -o patient || bad "phantom"
for precision in fp32 bf16 exact; do
    # shellcheck disable=SC2086
    holds "$precision" "$FABRICA" segment -q $trained --precision $precision --json patient/dicom -o $precision.nii.gz
    mv .out $precision.out
done
expect "bf16 is used where it is asked for" 0 '"precision": "bf16"' cat bf16.out
expect "fp32 too" 0 '"precision": "fp32"' cat fp32.out
expect "bf16 against fp32" 0 "least Dice" /usr/bin/env python3 dice.py fp32.nii.gz bf16.nii.gz 0.99
cat .out
expect "exact against fp32" 0 "least Dice" /usr/bin/env python3 dice.py fp32.nii.gz exact.nii.gz 0.9995
cat .out
cmp -s fp32.nii.gz bf16.nii.gz && bad "bf16 is another arithmetic" || ok "bf16 is another arithmetic"

phantom small 7
# shellcheck disable=SC2086
holds "a twin in bf16" "$FABRICA" twin -q $trained --precision bf16 --format nifti small/dicom -o case
holds "its manifest says so" /usr/bin/env python3 -c "
import json
m = json.load(open('case/manifest.json'))
assert m['options']['precision'] == 'bf16' and m['segmentation']['model']['precision'] == 'bf16', m['options']
assert m['segmentation']['model']['kernels'].startswith('bf16-'), m['segmentation']"
expect "an unknown precision" 2 "precision" "$FABRICA" segment --precision fp16 small/dicom -o none.nii.gz
finish
