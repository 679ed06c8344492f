#!/bin/sh
# install_web.sh DATADIR/fabrica/web: puts the built viewer where `fabrica view` looks for it.
set -eu
case "$1" in
/*) to="${DESTDIR:-}$1" ;;
*) to="$MESON_INSTALL_DESTDIR_PREFIX/$1" ;;
esac
from="$MESON_SOURCE_ROOT/web/dist"
[ -f "$from/index.html" ] || { echo "no web/dist: the viewer is not installed (make web)"; exit 0; }
rm -rf "$to"
mkdir -p "$to"
cp -R "$from/." "$to/"
chmod -R u=rwX,go=rX "$to"
