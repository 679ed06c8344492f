#!/bin/sh
# check_gltf.sh WRITE_TWIN: Khronos' glTF validator on every GLB, then three.js with meshoptimizer's
# decoder on the plain and the headset file, compared vertex by vertex.
here=$(dirname "$0")
command -v node >/dev/null || { echo "skipped: node is not installed"; exit 77; }
[ -d "$here/node_modules/gltf-validator" ] || {
    echo "skipped: run npm ci --prefix tests/interop"
    exit 77
}
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
"$1" "$out" || exit 1
node "$here/validate_gltf.mjs" "$out"/*.glb "$out"/empty/*.glb || exit 1
node "$here/compare_headset.mjs" "$out/twin.glb" "$out/twin.headset.glb"
