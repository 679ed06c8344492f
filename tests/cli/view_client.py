"""What the case's description says against what is sent; every route of the contract is answered.

usage: view_client.py CASE OPENAPI URL COOKIE_JAR CASE_JSON
"""

import gzip
import http.client
import json
import pathlib
import struct
import sys
import urllib.parse

from live_socket import cookie_of

case, openapi, url, jar, described = sys.argv[1:]
server = urllib.parse.urlparse(url)
cookie = cookie_of(jar)
contract = json.loads(pathlib.Path(openapi).read_text())
o = json.loads(pathlib.Path(described).read_text())


def ask(path, method="GET", body=None, **headers):
    link = http.client.HTTPConnection(server.hostname, server.port, timeout=60)
    link.request(method, path, body=body, headers={"Cookie": cookie, **headers})
    answer = link.getresponse()
    return answer.status, answer.read(), dict((k.lower(), v) for k, v in answer.getheaders())


def check_schema():
    try:
        import jsonschema
    except ImportError:
        return
    schemas = json.loads(json.dumps(contract["components"]).replace("#/components/schemas/", "#/schemas/"))
    for name, value in (("case", o), ("session", json.loads(ask("/api/v1/session")[1])),
                        ("health", json.loads(ask("/api/v1/health")[1])), ("error", json.loads(ask("/x")[1]))):
        jsonschema.Draft202012Validator({**schemas, "$ref": "#/schemas/" + name}).validate(value)


def native(name):
    raw = gzip.decompress((pathlib.Path(case) / name).read_bytes())
    return raw[int(struct.unpack("<f", raw[108:112])[0]):], struct.unpack("<3h", raw[42:48])


def announced():
    """All levels were announced before a voxel was read; now that they are, values are known too."""
    for kind in ("volume", "labels"):
        for level in (0, 1, 2):
            ask(f"/api/v1/case/{kind}/{level}")
    later = json.loads(ask("/api/v1/case")[1])
    for kind in ("volume", "labels"):
        for before, after in zip(o[kind]["levels"], later[kind]["levels"]):
            assert {**before, "low": 0, "high": 0} == {**after, "low": 0, "high": 0} and after["low"] is not None
    return {kind: later[kind]["levels"] for kind in ("volume", "labels")}


def check_levels(kind, name):
    voxels, size = native(name)
    for level in o[kind]["levels"]:
        path = f"/api/v1/case/{kind}/{level['level']}"
        status, body, head = ask(path)
        assert status == 200 and len(body) == level["bytes"], (path, status, len(body), level)
        width = {"int16": 2, "uint8": 1, "uint16": 2}[level["type"]]
        assert len(body) == width * level["size"][0] * level["size"][1] * level["size"][2]
        code = {"int16": "h", "uint8": "B", "uint16": "H"}[level["type"]]
        values = struct.unpack(f"<{len(body) // width}{code}", body)
        assert (min(values), max(values)) == (known[kind][level["level"]]["low"], known[kind][level["level"]]["high"]), path
        if level["level"] == 0:
            assert tuple(level["size"]) == size and (kind == "labels" or body == voxels), path
            continue
        assert max(level["size"]) <= (256 if level["level"] == 1 else 96)
        status, packed, head = ask(path, **{"Accept-Encoding": "gzip"})
        assert head["content-encoding"] == "gzip" and gzip.decompress(packed) == body
        assert ask(path, **{"If-None-Match": head["etag"], "Accept-Encoding": "gzip"})[0] == 304
        status, part, _ = ask(path, Range="bytes=100-199")
        assert status == 206 and part == body[100:200]
    assert ask(f"/api/v1/case/{kind}/3")[0] == 404 and ask(f"/api/v1/case/{kind}/00")[0] == 404


def check_files():
    listed = {row["path"]: row for row in o["files"]}
    manifest = json.loads((pathlib.Path(case) / "manifest.json").read_text())
    assert set(listed) == {row["path"] for row in manifest["files"]} | {"manifest.json"}
    for path, row in listed.items():
        status, body, _ = ask("/api/v1/case/files/" + urllib.parse.quote(path))
        assert status == 200 and body == (pathlib.Path(case) / path).read_bytes(), path
        assert len(body) == row["bytes"]


def check_contract():
    """Each route of the contract gives an answer that it documents, and no other method is taken."""
    stand_in = {"/assets/{path}": "app.js", "/api/v1/case/files/{path}": "manifest.json", "/api/v1/lessons/{name}": "nothing"}
    for path, operations in contract["paths"].items():
        real = path.split("{")[0] + (stand_in.get(path, "1") if "{" in path else "")
        for method in ("get", "post", "delete"):
            if (path, method) == ("/api/v1/session", "delete"):
                continue  # would end this session; test_view.sh does it
            status, _, _ = ask(real, method.upper(), body="{}" if method == "post" else None)
            if method in operations:
                assert str(status) in operations[method]["responses"], (method, path, status)
                assert status != 404 or path in ("/ca.pem", "/api/v1/lessons/{name}"), (method, path)
            else:
                assert status == 405, (method, path, status)


check_schema()
known = announced()
check_levels("volume", "volume.nii.gz")
check_levels("labels", "labels.nii.gz")
check_files()
check_contract()
print("ok")
