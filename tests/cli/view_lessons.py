"""The lessons of a server that was started with --lesson (other title), after one was killed while it recorded.

usage: view_lessons.py URL OWNER_JAR VIEWER_JAR CASE GIVEN SOURCE
"""

import hashlib
import json
import pathlib
import shutil
import sys
import time
import urllib.parse
import urllib.request

from live_socket import Socket, cookie_of

url, owner_jar, viewer_jar, case, given, source = sys.argv[1:]
owner, viewer = cookie_of(owner_jar), cookie_of(viewer_jar)
folder = pathlib.Path(case) / "lessons"


def ask(path, cookie=viewer, method="GET", **headers):
    request = urllib.request.Request(url + path, method=method, headers={"Cookie": cookie, **headers})
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, dict(answer.headers.items()), answer.read()
    except urllib.error.HTTPError as refused:
        return refused.code, dict(refused.headers.items()), refused.read()


def lessons():
    status, head, body = ask("/api/v1/lessons")
    assert status == 200 and head["content-type"] == "application/json", (status, body)
    try:
        import jsonschema
        contract = json.loads((pathlib.Path(source) / "contract/openapi.json").read_text())
        schemas = json.loads(json.dumps(contract["components"]).replace("#/components/schemas/", "#/schemas/"))
        jsonschema.Draft202012Validator({**schemas, "$ref": "#/schemas/lessons"}).validate(json.loads(body))
    except ImportError:
        pass
    return json.loads(body)["lessons"]


def fetch(name, *more, **headers):
    return ask("/api/v1/lessons/" + urllib.parse.quote(name), *more, **headers)


def check_list():
    rows = lessons()
    by_name = {row["name"]: row for row in rows}
    assert rows[0]["name"] == "where-the-portal-vein-divides" and rows[0]["model"] == "other", rows[0]
    assert [row["name"] for row in rows[1:]] == sorted(row["name"] for row in rows[1:])
    whole, cut, broken = by_name["vertebrae-one-by-one"], by_name["left-open"], by_name["broken"]
    assert whole["model"] == "same" and not whole["cut"] and [c["title"] for c in whole["chapters"]] == ["The end"] and whole["duration_us"] > 4900000, whole
    assert cut["cut"] and cut["model"] == "same" and cut["duration_us"] > 2900000, cut
    assert "error" in broken and "title" not in broken, broken
    assert by_name["Dr. \u00c9tienne's copy"]["sha256"] == whole["sha256"]
    assert ".hidden" not in by_name and "notes" not in by_name and "link" not in by_name and "folder" not in by_name, by_name
    return rows


def check_bytes(rows):
    for row in rows:
        status, head, body = fetch(row["name"])
        if "error" in row:
            assert status == 409 and json.loads(body)["error"]["message"] == row["error"], (status, body)
            continue
        path = pathlib.Path(given) if row is rows[0] else folder / (row["name"] + ".mcap")
        assert status == 200 and body == path.read_bytes() and len(body) == row["bytes"], row["name"]
        assert row["sha256"] == hashlib.sha256(body).hexdigest() == head["etag"].strip('"')
        assert head["content-type"] == "application/x-mcap" and "sandbox" in head["content-security-policy"]
        status, part, some = fetch(row["name"], Range="bytes=10-59")
        assert status == 206 and some == body[10:60] and part["content-range"] == f"bytes 10-59/{len(body)}"
        assert fetch(row["name"], Range=f"bytes={len(body)}-")[0] == 416
        assert fetch(row["name"], **{"If-None-Match": head["etag"]})[0] == 304
        assert fetch(row["name"], viewer, "HEAD")[1]["content-length"] == str(len(body))
    for nothing in ("none", "../manifest.json", "..%2f..%2fpatient", "broken.mcap", "%00", "", ".", "link", "folder", ".hidden"):
        assert ask("/api/v1/lessons/" + nothing)[0] in (400, 404), nothing


def check_changes():
    """What comes, changes and goes is seen."""
    shutil.copy(given, folder / "later.mcap")
    assert any(row["name"] == "later" for row in wait_for(lambda rows: any(r["name"] == "later" for r in rows)))
    (folder / "later.mcap").write_bytes(b"no lesson any more")
    wait_for(lambda rows: any(r["name"] == "later" and "error" in r for r in rows))
    assert fetch("later")[0] == 409
    assert fetch("later", viewer, "DELETE")[0] == 403
    assert fetch("later", owner, "DELETE", Origin="http://evil.example")[0] == 403
    assert fetch("later", owner, "DELETE")[0] == 204
    assert not (folder / "later.mcap").exists() and fetch("later")[0] == 404
    assert fetch("later", owner, "DELETE")[0] == 404
    assert fetch("where-the-portal-vein-divides", owner, "DELETE")[0] == 409 and pathlib.Path(given).exists()
    assert fetch("none", owner, "DELETE")[0] == 404


def wait_for(done):
    for _ in range(200):
        rows = lessons()
        if done(rows):
            return rows
        time.sleep(0.05)
    raise AssertionError(rows)


def check_while_recording():
    s = Socket(url, owner)
    s.receive()
    s.say(type="record.start", title="Where the portal vein divides", language="en", software="test", state=None, channels=[])
    name = s.receive()["name"]
    assert name == "where-the-portal-vein-divides-2", name  # the given one has the name
    assert not any(row["name"] == name for row in lessons()) and (folder / f"{name}.mcap").exists()
    assert fetch(name)[0] == 404 and fetch(name, owner, "DELETE")[0] == 409
    s.say(type="record.stop")
    assert s.receive()["type"] == "record.stopped"
    assert any(row["name"] == name for row in lessons())  # at once
    assert fetch(name, owner, "DELETE")[0] == 204


rows = check_list()
check_bytes(rows)
check_changes()
check_while_recording()
print("ok")
