#!/bin/sh
# fabrica view seen from two other machines: network namespaces with an address each. Both pair by the code over TLS
# and view; a guesser is locked out, alone.
. "$(dirname "$0")/lib.sh"
missing curl && exit 77
missing ip && exit 77
. "$SOURCE/tests/cli/view_lib.sh"
id=fab$$
spaces="$id-a $id-b"
remove() {
    for space in $spaces; do ip netns del "$space" 2>/dev/null; done
    ip link del "$id" 2>/dev/null
}
trap 'remove; chmod -R u+w "$WORK" 2>/dev/null; rm -rf "$WORK"' EXIT
# a bridge of this machine's, and a client on each of two cables
network() {
    ip link add "$id" type bridge && ip addr add 10.231.77.1/24 dev "$id" && ip link set "$id" up || return 1
    n=1
    for space in $spaces; do
        n=$((n + 1))
        ip netns add "$space" && ip link add "${id}v$n" type veth peer name eth0 netns "$space" && ip link set "${id}v$n" master "$id" up &&
            ip -n "$space" addr add "10.231.77.$n/24" dev eth0 && ip -n "$space" link set eth0 up && ip -n "$space" link set lo up || return 1
    done
}
if ! network 2>net.err; then
    echo "skipped: network namespaces are not permitted: $(head -1 net.err)"
    exit 77
fi
phantom patient 7
"$FABRICA" twin patient/dicom --labels patient/truth/labels.nii.gz -o case -q --format glb-headset || bad twin

start network --host 10.231.77.1
case $NETWORK in https://10.231.77.1:*) ok "the address that is printed" ;; *) bad "the address that is printed" "$NETWORK" ;; esac
PRINTED=$(sed -n 's/^ *SHA-256 //p' network.out)
from() { # SPACE CURL-OPTION...
    space=$1
    shift
    ip netns exec "$id-$space" curl -s -m 30 --cacert "ca-$space.pem" "$@"
}
for space in a b; do
    # as a headset does: fetch the authority over the unknown certificate, compare the fingerprint, trust it
    ip netns exec "$id-$space" curl -s -m 30 -k -o "ca-$space.pem" "$NETWORK/ca.pem"
    seen=$(openssl x509 -in "ca-$space.pem" -noout -fingerprint -sha256 | sed 's/.*=//')
    [ "$seen" = "$PRINTED" ] && ok "$space: the fingerprint that was printed" || bad "$space: the fingerprint" "$seen, not $PRINTED"
    got=$(from $space -c "$space.jar" -o body -w '%{http_code}' -d "{\"code\":\"$CODE\"}" "$NETWORK/api/v1/session")
    [ "$got" = 204 ] && ok "$space: paired by the code" || bad "$space: paired by the code" "$got $(cat body)"
    from $space -b "$space.jar" -o manifest "$NETWORK/api/v1/case/files/manifest.json"
    grep -q '"structures"' manifest && ! grep -q Phantom manifest && ok "$space: the manifest, without the patient" || bad "$space: the manifest" "$(head -c 200 manifest)"
    from $space -b "$space.jar" -o model "$NETWORK/api/v1/case/files/export/twin.headset.glb"
    cmp -s model case/export/twin.headset.glb && ok "$space: the model's bytes" || bad "$space: the model's bytes"
    got=$(from $space -b "$space.jar" -o labels -w '%{http_code} %{size_download}' "$NETWORK/api/v1/case/labels/2")
    case $got in "200 "[1-9]*) ok "$space: labels" ;; *) bad "$space: labels" "$got" ;; esac
    holds "$space: the live channel" ip netns exec "$id-$space" /usr/bin/env python3 "$SOURCE/tests/cli/view_hello.py" "$NETWORK" "$space.jar" "ca-$space.pem"
done
from a -b b.jar -o body "$NETWORK/api/v1/session"
grep -q '"role":"view"' body && ok "a session is the cookie's, not the address's" || bad "a session is the cookie's" "$(cat body)"

for n in 1 2 3 4 5; do
    wrong=$([ "$CODE" = 11111$n ] && echo 222222 || echo 11111$n)
    got=$(from a -o body -w '%{http_code}' -d "{\"code\":\"$wrong\"}" "$NETWORK/api/v1/session")
done
[ "$got" = 429 ] && ok "a: five wrong codes lock it out" || bad "a: five wrong codes lock it out" "$got $(cat body)"
got=$(from a -o body -w '%{http_code}' -d "{\"code\":\"$CODE\"}" "$NETWORK/api/v1/session")
[ "$got" = 429 ] && ok "a: the right one comes too late" || bad "a: the right one comes too late" "$got"
got=$(from b -o body -w '%{http_code}' -d "{\"code\":\"$CODE\"}" "$NETWORK/api/v1/session")
[ "$got" = 204 ] && ok "b: is not locked out" || bad "b: is not locked out" "$got $(cat body)"
got=$(from a -b a.jar -o body -w '%{http_code}' "$NETWORK/api/v1/case")
[ "$got" = 200 ] && ok "a: who was in stays in" || bad "a: who was in stays in" "$got"
local_port=${URL##*:}
from b -o body "http://10.231.77.1:$local_port/" && bad "this machine's own port is closed to others" || ok "this machine's own port is closed to others"
grep -qF -e "$CODE" -e 10.231.77 network.out.log && bad "no code, no address in the log" || ok "no code, no address in the log"
stop "stopped" TERM
finish
