#!/bin/sh
# fabrica view: a real server on a small twin, asked by curl and by plain sockets.
. "$(dirname "$0")/lib.sh"
missing curl && exit 77
. "$SOURCE/tests/cli/view_lib.sh"
phantom patient 7
"$FABRICA" twin patient/dicom --labels patient/truth/labels.nii.gz -o case -q --format glb,stl || bad twin
mkdir -p web/assets && echo '<!doctype html><title>viewer</title>' >web/index.html
head -c 5000 /dev/zero | tr '\0' 'x' >web/assets/app.js && gzip -k web/assets/app.js && echo secret >outside.txt

start local --web web --host 127.0.0.1
status "the page" 200 "$URL/"
says "content policy" "content-security-policy: default-src 'self'; connect-src 'self'; img-src 'self' blob: data:; media-src 'self' blob:; worker-src 'self' blob:; style-src 'self' 'unsafe-inline'; script-src 'self' 'wasm-unsafe-eval'; object-src 'none'; base-uri 'none'; frame-ancestors 'none'"
says "no sniffing" "x-content-type-options: nosniff"
says "no referrer" "referrer-policy: no-referrer"
says "XR and microphone" "permissions-policy: xr-spatial-tracking=(self), microphone=(self)"
says "opener policy" "cross-origin-opener-policy: same-origin"
says "embedder policy" "cross-origin-embedder-policy: require-corp"
says "its type" "content-type: text/html"
status "an asset" 200 --compressed "$URL/assets/app.js"
cmp -s body web/assets/app.js && ok "its bytes" || bad "its bytes"
says "kept gzip is sent" "content-encoding: gzip"
says "kept for good" "immutable"
tag=$(sed -n 's/^etag: *\(.*\)\r$/\1/p' head)
status "unchanged" 304 -H "If-None-Match: $tag" -H "Accept-Encoding: gzip" "$URL/assets/app.js"
status "no such asset" 404 "$URL/assets/none.js"
status "health" 200 "$URL/api/v1/health"
status "no authority without a network" 404 "$URL/ca.pem"

status "nobody sees the case" 401 "$URL/api/v1/case"
status "nobody sees a file" 401 "$URL/api/v1/case/files/manifest.json"
status "nobody makes links" 401 -d '{}' "$URL/api/v1/links"
status "not paired yet" 200 "$URL/api/v1/session"
says "it says so" '{"paired":false,"role":null,"expires_s":0}'
status "another name for this machine" 403 -H "Host: evil.example" "$URL/api/v1/health"
status "another site's page" 403 -H "Origin: http://evil.example" -d '{"code":"1"}' "$URL/api/v1/session"
status "no JSON" 400 -d 'code' "$URL/api/v1/session"
status "too much" 413 -d "$(head -c 5000 /dev/zero | tr '\0' 1)" "$URL/api/v1/session"
status "no length" 411 -H "Transfer-Encoding: chunked" -d '{}' "$URL/api/v1/session"
status "another method" 405 -X PUT -d x "$URL/api/v1/session"
status "a very long path" 414 "$URL/$(head -c 2000 /dev/zero | tr '\0' a)"
status "no such link" 403 -d '{"link":"abc"}' "$URL/api/v1/session"
status "the owner's link" 204 -c owner.jar -d "{\"link\":\"$LINK\"}" "$URL/api/v1/session"
says "a cookie no script reads" "HttpOnly; SameSite=Strict; Max-Age=43200"
status "works once" 410 -d "{\"link\":\"$LINK\"}" "$URL/api/v1/session"
status "paired" 200 -b owner.jar "$URL/api/v1/session"
says "as owner" '"role":"owner"'
status "the code" 204 -c view.jar -d "{\"code\":\"$CODE\"}" "$URL/api/v1/session"
status "a viewer makes no links" 403 -b view.jar -d '{}' "$URL/api/v1/links"
status "an owner does" 201 -b owner.jar -d '{"minutes":5}' "$URL/api/v1/links"
token=$(sed -n 's/.*"token":"\([^"]*\)".*/\1/p' body)
status "who comes by it" 204 -c guest.jar -d "{\"link\":\"$token\"}" "$URL/api/v1/session"
status "leaves again" 204 -b guest.jar -X DELETE "$URL/api/v1/session"
status "and is out" 401 -b guest.jar "$URL/api/v1/case"

status "the case, at once" 200 -b owner.jar "$URL/api/v1/case"
cp body case.json
file=$URL/api/v1/case/files
status "the manifest" 200 -b owner.jar "$file/manifest.json"
cmp -s body case/manifest.json && ok "its bytes" || bad "its bytes"
status "compressed" 200 -b owner.jar --compressed "$file/manifest.json"
cmp -s body case/manifest.json && ok "its bytes again" || bad "its bytes again"
status "a model" 200 -b view.jar "$file/export/twin.glb"
cmp -s body case/export/twin.glb && ok "the model's bytes" || bad "the model's bytes"
says "its type" "content-type: model/gltf-binary"
says "sandboxed" "content-security-policy: default-src 'none'; sandbox"
tag=$(sed -n 's/^etag: *"\(.*\)"\r$/\1/p' head)
[ "$tag" = "$(sha256sum <case/export/twin.glb | cut -d' ' -f1)" ] && ok "its tag is its SHA-256" || bad "its tag" "$tag"
status "a range" 206 -b view.jar -r 1000-2999 "$file/export/twin.glb"
tail -c +1001 case/export/twin.glb | head -c 2000 | cmp -s - body && ok "the range's bytes" || bad "the range's bytes"
status "a range of this version" 206 -b view.jar -r -10 -H "If-Range: \"$tag\"" "$file/export/twin.glb"
tail -c 10 case/export/twin.glb | cmp -s - body && ok "the last bytes" || bad "the last bytes"
status "a range of another version" 200 -b view.jar -r 0-9 -H 'If-Range: "x"' "$file/export/twin.glb"
status "a range beyond" 416 -b view.jar -r 999999999- "$file/export/twin.glb"
status "head" 200 -b view.jar -I "$file/export/twin.glb"
says "says the length" "content-length: $(wc -c <case/export/twin.glb)"
status "unchanged" 304 -b view.jar -H "If-None-Match: \"$tag\"" "$file/export/twin.glb"
status "not listed" 404 -b view.jar "$file/report.html"
for path in "../../../../../outside.txt" "..%2f..%2foutside.txt" "%2e%2e/%2e%2e/outside.txt" "%2e%2e%2foutside.txt" \
    "//etc/passwd" "%2fetc%2fpasswd" "/etc/passwd" "export/../../outside.txt" "..%5coutside.txt" "%252e%252e/outside.txt" \
    "manifest.json%00.glb" "./../case/../outside.txt" "..;/outside.txt"; do
    got=$(curl -s -m 20 --path-as-is -b view.jar -o body -w '%{http_code}' "$file/$path")
    case $got in 400 | 403 | 404 | 000) ;; *) bad "traversal $path" "$got" ;; esac
    grep -qE "secret|root:" body && bad "traversal $path" "content"
done
ok "nothing outside the case"
holds "volumes, labels, contract" /usr/bin/env python3 "$SOURCE/tests/cli/view_client.py" case "$SOURCE/contract/openapi.json" "$URL" owner.jar case.json
holds "live channel" /usr/bin/env python3 "$SOURCE/tests/cli/view_live.py" "$URL" view.jar
for n in 1 2 3 4 5 6 7 8; do curl -s -m 0.0$n -b owner.jar -o body "$URL/api/v1/case/volume/0"; done
got=$(curl -s -m 20 -b owner.jar -w '%{http_code} %{num_connects} ' -o body "$URL/api/v1/session" -o body2 "$URL/api/v1/health" -o body3 "$file/manifest.json")
[ "$got" = "200 1 200 0 200 0 " ] && ok "clients that went away; one connection for all" || bad "clients that went away" "$got"
grep -q "GET /api/v1/case/files/{path} 206 2000 bytes" local.out.log && ok "a line a request" || bad "a line a request"
grep -qF -e "$LINK" -e "$CODE" -e "PHANTOM" -e twin.glb local.out.log && bad "no secrets in the log" || ok "no secrets in the log"
stop "Ctrl-C" INT

start locked --host 127.0.0.1
for i in 1 2 3 4; do
    wrong=$([ "$CODE" = 11111$i ] && echo 222222 || echo 11111$i)
    status "wrong code $i" 401 -d "{\"code\":\"$wrong\"}" "$URL/api/v1/session"
done
status "wrong code 5" 429 -d '{"code":"999999"}' "$URL/api/v1/session"
says "when to try again" "retry-after: 300"
status "the right one too late" 429 -d "{\"code\":\"$CODE\"}" "$URL/api/v1/session"
expect "port taken" 1 "is taken by another program" "$FABRICA" view case --host 127.0.0.1 --port "${URL##*:}"
stop "SIGTERM" TERM

start network
ca=data/fabrica/tls/ca.pem
[ "$(stat -c %a data/fabrica/tls/ca.key)" = 600 ] && ok "the authority's key is private" || bad "the authority's key is private"
port=${NETWORK##*:}
status "TLS by the authority" 200 --cacert $ca "https://localhost:$port/api/v1/health"
status "TLS by the address" 200 --cacert $ca "https://127.0.0.1:$port/api/v1/health"
curl -s -m 20 -o body "https://localhost:$port/" && bad "without the authority" || ok "without the authority"
status "the code over TLS" 204 --cacert $ca -c tls.jar -d "{\"code\":\"$CODE\"}" "https://localhost:$port/api/v1/session"
says "a cookie for TLS only" "; Secure"
status "the case over TLS" 200 --cacert $ca -b tls.jar "https://localhost:$port/api/v1/case"
for from in "$URL" "https://localhost:$port"; do
    status "the authority's certificate" 200 --cacert $ca "$from/ca.pem"
    cmp -s body $ca && ok "its bytes" || bad "its bytes"
    says "its type" "content-type: application/x-x509-ca-cert"
done
grep -q PRIVATE body && bad "and no key" || ok "and no key"
status "the owner beside it" 204 -b tls.jar -c tls.jar -d "{\"link\":\"$LINK\"}" "$URL/api/v1/session"
status "one jar, two ports: here" 200 -b tls.jar "$URL/api/v1/session"
says "the owner's" '"role":"owner"'
status "one jar, two ports: there" 200 --cacert $ca -b tls.jar "https://localhost:$port/api/v1/session"
says "the viewer's" '"role":"view"'
fingerprint=$(sed -n 's/^ *SHA-256 //p' network.out)
stop "stopped" TERM
start again
[ "$(sed -n 's/^ *SHA-256 //p' again.out)" = "$fingerprint" ] && ok "the authority stays" || bad "the authority stays"
stop "stopped again" TERM

mkdir empty
start clientless --host 127.0.0.1 --web empty
status "no web client" 200 "$URL/"
says "a page says so" "The web client is not here"
status "a length that is no number" 400 -H "Content-Length: 1x" -d '{}' "$URL/api/v1/session"
status "a negative length" 400 -H "Content-Length: -5" -d '{}' "$URL/api/v1/session"
stop "stopped without one" TERM

expect "a limit" 0 "code " "$FABRICA" view case --host 127.0.0.1 --port 0 --minutes 0.005
expect "no such folder" 1 "nosuch" "$FABRICA" view case --host 127.0.0.1 --port 0 --web nosuch
expect "no case" 3 "nowhere is not a case: there is no manifest.json in it" "$FABRICA" view nowhere
mkdir broken && cp -r case/* broken/ && sed -i 's|"export/twin.glb"|"../outside.glb"|' broken/manifest.json
expect "a manifest that points outside" 3 "broken/manifest.json" "$FABRICA" view broken --host 127.0.0.1
expect "no TLS on the network" 2 "--tls off is for this machine only" "$FABRICA" view case --tls off --host 10.0.0.1
expect "no address" 2 "not an IPv4 address" "$FABRICA" view case --port 0 --host example
chmod 644 data/fabrica/tls/ca.key
expect "a key that others read" 2 "may be read by others" "$FABRICA" view case --port 0
finish
