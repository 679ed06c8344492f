#!/bin/sh
# tools/setup.sh [run build demo check train ...]: installs what the named groups of packages.txt need
# and is not there yet. Debian packages only, npm ones are pinned by lock files and added by `make web` and `make check`.
set -eu
cd "$(dirname "$0")"
want=" ${*:-run build} "
missing=""
while read -r name groups; do
    case "$name" in ''|'#'*) continue ;; esac
    wanted=""
    for group in $groups; do
        case "$want" in *" $group "*) wanted=yes ;; esac
    done
    [ -n "$wanted" ] || continue
    dpkg-query -W -f '${Status}' "$name" 2>/dev/null | grep -q 'install ok installed' || missing="$missing $name"
done < packages.txt
case "$want" in *" build "* | *" check "*) command -v npm >/dev/null || missing="$missing nodejs npm" ;; esac
[ -n "$missing" ] || exit 0
echo "setup: installing$missing"
sudo=""
if [ "$(id -u)" != 0 ]; then
    command -v sudo >/dev/null || { echo "setup: please install as root: apt-get install$missing" >&2; exit 1; }
    sudo=sudo
fi
export DEBIAN_FRONTEND=noninteractive
$sudo apt-get update -qq
# shellcheck disable=SC2086
$sudo apt-get install -y -qq --no-install-recommends $missing >/tmp/fabrica-setup.$$.log 2>&1 || {
    tail -20 /tmp/fabrica-setup.$$.log >&2
    echo "setup: apt-get failed, see /tmp/fabrica-setup.$$.log" >&2
    exit 1
}
rm -f /tmp/fabrica-setup.$$.log
