#!/bin/sh
# tools/web.sh: npm's packages by the lock file, then web/dist; each only where it is out of date.
set -eu
cd "$(dirname "$0")/../web"
if ! cmp -s package-lock.json node_modules/.fabrica-lock 2>/dev/null; then
    npm ci --ignore-scripts --no-audit --no-fund --loglevel=error
    cp package-lock.json node_modules/.fabrica-lock
fi
sources="package-lock.json build.mjs tsconfig.json packages app ../contract/operations.json"
# shellcheck disable=SC2086
if [ ! -f dist/index.html ] || [ -n "$(find $sources -type f -newer dist/index.html | head -1)" ]; then
    node build.mjs
fi
