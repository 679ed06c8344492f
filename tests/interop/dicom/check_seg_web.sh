#!/bin/sh
# check_seg_web.sh DICOM_MAKE: dcmjs and cornerstone's adapter read our SEG.
here=$(dirname "$0")
command -v node >/dev/null || { echo "skipped: node is not installed"; exit 77; }
[ -d "$here/../node_modules/@cornerstonejs/adapters" ] || {
    echo "skipped: run npm ci --prefix tests/interop"
    exit 77
}
exec node "$here/check_seg.mjs" "$1"
