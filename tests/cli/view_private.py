"""What a viewer may read, searched for the patient: every route, every file, every byte, unpacked.

usage: view_private.py URL VIEWER_JAR OWNER_JAR CASE SOURCE WORD...
"""

import gzip
import hashlib
import io
import json
import pathlib
import sys
import urllib.parse
import urllib.request
import zipfile

from live_socket import Socket, cookie_of

url, viewer_jar, owner_jar, case, source, *words = sys.argv[1:]
viewer, owner = cookie_of(viewer_jar), cookie_of(owner_jar)
manifest = json.loads((pathlib.Path(case) / "manifest.json").read_text())
secrets = {str(v) for k, v in manifest["patient_identifiers"].items() if v and k not in ("patient_sex", "study_id")} | set(words)
needles = {s.lower().encode() for s in secrets} | {s.lower().encode("utf-16-le") for s in secrets}
assert len(secrets) > 8 and any("Phantom^Seed" in s for s in secrets), secrets


def ask(path, cookie=viewer, method="GET", **headers):
    request = urllib.request.Request(url + path, method=method, headers={"Cookie": cookie, **headers})
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, dict(answer.headers.items()), answer.read()
    except urllib.error.HTTPError as refused:
        return refused.code, dict(refused.headers.items()), refused.read()


def unpacked(data):
    yield data
    if data[:2] == b"\x1f\x8b":
        yield from unpacked(gzip.decompress(data))
    if data[:4] == b"PK\3\4":
        with zipfile.ZipFile(io.BytesIO(data)) as z:
            for name in z.namelist():
                yield name.encode()
                yield from unpacked(z.read(name))


searched = 0


def search(what, head, body):
    global searched
    for data in unpacked("\n".join(f"{k}: {v}" for k, v in head.items()).encode() + b"\n" + body if len(body) < 1 << 20 else body):
        searched += len(data)
        for needle in needles:
            assert needle not in data.lower(), (what, needle)
    for data in unpacked(body):
        searched += len(data)
        for needle in needles:
            assert needle not in data.lower(), (what, needle)


def check_routes():
    contract = json.loads((pathlib.Path(source) / "contract/openapi.json").read_text())
    for path in contract["paths"]:
        for end in ("", "0", "1", "2", "nothing", "manifest.json"):
            if "{" not in path and end:
                continue
            for encoding in ("identity", "gzip"):
                search(path, *ask(path.split("{")[0] + end, **{"Accept-Encoding": encoding})[1:])


def check_files():
    status, _, body = ask("/api/v1/case")
    o = json.loads(body)
    assert o["name"] == "Twin", o["name"]
    listed = {row["path"]: row for row in o["files"]}
    everything = {row["path"] for row in manifest["files"]} | {"manifest.json", "report.html"}
    assert "export/seg.dcm" in everything and not any(p.endswith((".dcm", ".html")) for p in listed)
    for path in everything:
        quoted = "/api/v1/case/files/" + urllib.parse.quote(path)
        status, head, body = ask(quoted)
        search(path, head, body)
        if path in listed:
            assert status == 200 and len(body) == listed[path]["bytes"], path
            assert hashlib.sha256(body).hexdigest() == listed[path]["sha256"] == head["etag"].strip('"'), path
        else:
            assert status == (404 if path == "report.html" else 403), (path, status)
            assert ask(quoted, method="HEAD")[0] == status and ask(quoted, Range="bytes=0-99")[0] == status
    assert ask("/api/v1/case/files/export/seg.dcm", owner)[0] == 200


def check_manifest():
    status, head, body = ask("/api/v1/case/files/manifest.json")
    shown = json.loads(body)
    assert set(shown) == set(manifest) and set(shown["patient_identifiers"]) == set(manifest["patient_identifiers"])
    assert not any(shown["patient_identifiers"].values())
    assert shown["structures"] == manifest["structures"] and shown.get("measurements") == manifest.get("measurements")
    tag = head["etag"]
    assert ask("/api/v1/case/files/manifest.json", **{"If-None-Match": tag})[0] == 304
    assert ask("/api/v1/case/files/manifest.json", owner, **{"If-None-Match": tag})[0] == 200  # another document
    status, part_head, part = ask("/api/v1/case/files/manifest.json", Range="bytes=100-299")
    assert status == 206 and part == body[100:300]
    status, packed_head, packed = ask("/api/v1/case/files/manifest.json", **{"Accept-Encoding": "gzip"})
    assert gzip.decompress(packed) == body and packed_head["etag"] == tag[:-1] + '-gz"'
    _, own_head, own = ask("/api/v1/case/files/manifest.json", owner)
    assert own == (pathlib.Path(case) / "manifest.json").read_bytes()
    o = json.loads(ask("/api/v1/case")[2])
    assert o["manifest_sha256"] == hashlib.sha256(own).hexdigest() == own_head["etag"].strip('"')
    try:
        import jsonschema
    except ImportError:
        return
    schema = json.loads((pathlib.Path(source) / "contract/manifest.schema.json").read_text())
    jsonschema.Draft202012Validator(schema).validate(shown)


def check_channel():
    s = Socket(url, viewer)
    for message in ({"type": "ping"}, {"type": "record.start", "title": "x"}, {"type": "x"}):
        search("hello", {}, json.dumps(s.receive()).encode())
        s.say(**message)
    search("live", {}, json.dumps(s.receive()).encode())


check_routes()
check_files()
check_manifest()
check_channel()
print(f"ok: {searched} bytes")
