"""Recording live (ADR 0113) by a plain socket: whole, closed, refused, killed.

usage: view_record.py URL OWNER_JAR VIEWER_JAR CASE FABRICA STEP
STEP whole: everything that ends well; left: leaves a recording open until the server is gone
"""

import base64
import hashlib
import json
import pathlib
import struct
import subprocess
import sys
import time

from live_socket import Socket, cookie_of

url, owner_jar, viewer_jar, case, fabrica, step = sys.argv[1:]
owner = cookie_of(owner_jar)
lessons = pathlib.Path(case) / "lessons"
SECOND = 1000000


def pose(time_us, count=18):
    """A head that does not move, every 13.9 ms."""
    samples = b"".join((b"\0" if i == 0 else b"\x8b\x01") + b"\x01\x00" for i in range(count))
    return struct.pack("<B7xQ", 0, time_us) + struct.pack("<BBH", 1, 0, count) + samples


def voice(time_us, sequence, count=12):
    packets = b"".join(struct.pack("<HH", 0, 40) + bytes(40) for _ in range(count))
    return struct.pack("<B7xQ", 2, time_us) + struct.pack("<BBHI", 1, 0, count, sequence) + packets


def row(n, time_us, op="structure.show", **args):
    return {"op": op, "args": args or {"ids": [1], "visible": n % 2 == 0}, "seq": n, "by": "teacher", "t": time_us}


def start(title, channels=({"kind": "pose", "metadata": {"left": "controller"}}, {"kind": "voice", "metadata": {"codec": "opus", "pre_skip": "312"}}), **more):
    s = Socket(url, owner)
    assert s.receive()["role"] == "owner"
    s.say(**{"type": "record.start", "title": title, "language": "en", "software": "test 1", "state": None, "channels": channels, **more})
    return s, s.receive()


def until(s, kind):
    """The next message of a kind, and those before it."""
    before = []
    while True:
        message = s.receive()
        if message["type"] == kind:
            return message, before
        before.append(message)


def lesson(name, *words):
    path = lessons / f"{name}.mcap"
    out = subprocess.run([fabrica, "lesson", *words, str(path), "--json"], capture_output=True, text=True)
    assert out.returncode == 0, (name, out.stderr)
    return json.loads(out.stdout)


def fill(s, seconds, first=1):
    for i in range(4 * seconds):
        t = i * SECOND // 4
        s.send(pose(t), opcode=2)
        s.send(voice(t, 12 * i), opcode=2)
        if i % 4 == 0:
            s.say(type="row", row=row(first + i // 4, t + 1000))


def check_whole():
    s, begun = start("Vertebrae, one by one")
    assert begun == {"type": "record.started", "name": "vertebrae-one-by-one"}, begun
    fill(s, 5)
    s.say(type="row", row=row(6, 5 * SECOND, "chapter", title="The end"))
    s.say(type="meta", t=5 * SECOND, object={"event": "note", "text": "a word"})
    s.say(type="record.attach", name="captions.en.vtt", media_type="text/vtt", data=base64.b64encode(b"WEBVTT\n\n00:01.000 --> 00:02.000\nHere.\n").decode())
    s.say(type="record.attach", name="thumbnail.jpg", media_type="image/jpeg", data=base64.b64encode(bytes(range(256)) * 12000).decode())
    s.say(type="record.stop")
    done, before = until(s, "record.stopped")
    saved = [m["t"] for m in before]
    assert all(m["type"] == "record.saved" for m in before) and saved == sorted(saved) and saved, before
    data = (lessons / "vertebrae-one-by-one.mcap").read_bytes()
    assert done["sha256"] == hashlib.sha256(data).hexdigest() and done["bytes"] == len(data) and done["dropped"] == 0, done
    info = lesson("vertebrae-one-by-one", "info")
    assert abs(info["duration_s"] * 1e6 - done["duration_us"]) < 2 and not info["cut"], (info, done)
    assert [c["title"] for c in info["chapters"]] == ["The end"] and len(info["attachments"]) == 2, info
    assert info["about"]["manifest_sha256"] == hashlib.sha256((pathlib.Path(case) / "manifest.json").read_bytes()).hexdigest()
    assert info["about"]["structures"].count(",") == len(json.loads((pathlib.Path(case) / "manifest.json").read_text())["structures"]) - 1
    counted = lesson("vertebrae-one-by-one", "verify")
    assert counted["op"] == 6 and counted["pose"] == 5 * 4 * 18 and counted["voice"] == 5 * 4 * 12, counted
    s.say(type="record.start", title="Vertebrae: one by one!", language="zh-CN", software="test", state=None, channels=[])
    assert s.receive()["name"] == "vertebrae-one-by-one-2"
    s.say(type="record.stop")
    assert s.receive()["type"] == "record.stopped"


def check_saved_in_time():
    """What was said is on the disk about a second later, while the recording goes on."""
    s, begun = start("As it goes", channels=[{"kind": "pose"}])
    for i in range(9):
        s.send(pose(i * SECOND // 4), opcode=2)
    assert s.receive()["t"] >= 900000
    assert lesson("as-it-goes", "info")["cut"]
    s.s.close()  # a killed tab
    deadline = time.time() + 20
    while lesson("as-it-goes", "info")["cut"] and time.time() < deadline:
        time.sleep(0.05)
    info = lesson("as-it-goes", "info")
    assert not info["cut"] and 2.2 < info["duration_s"] < 2.4, info


def check_silence():
    """A row before a silence is saved without another message."""
    s, begun = start("A quiet one", channels=[])
    s.say(type="row", row=row(1, 40000))
    saved = s.receive()
    assert saved == {"type": "record.saved", "t": 40000}, saved
    assert lesson(begun["name"], "verify") | {"cut": True, "op": 1} == lesson(begun["name"], "verify")
    s.say(type="record.stop")
    assert s.receive()["type"] == "record.stopped"


def check_refusals():
    viewer = Socket(url, cookie_of(viewer_jar))
    viewer.receive()
    viewer.say(type="record.start", title="x", language="en", software="x", state=None, channels=[])
    assert viewer.receive()["code"] == "role"
    viewer.send(pose(0), opcode=2)
    assert viewer.closed() in (1003, None)
    for wrong, text in (({"title": ""}, "title"), ({"language": "english!"}, "language"), ({"channels": None}, "channels"),
                        ({"channels": [{"kind": "smell"}]}, "channels[0]"), ({"channels": [{"kind": "pose"}, {"kind": "pose"}]}, "channels[1]"),
                        ({"channels": [{"kind": "pose", "metadata": {"patient_name": "x"}}]}, "patient"),
                        ({"channels": [{"kind": "pose", "metadata": {"left": 1}}]}, "left"), ({"state": {"explode": -1}}, "state")):
        _, answer = start(**{"title": "Refused", **wrong})
        assert answer["type"] == "error" and text in answer["message"], (wrong, answer)
    assert not list(lessons.glob("refused*"))
    s, _ = start("With faults")
    s.say(type="record.start", title="x", language="en", software="x", state=None, channels=[])
    assert s.receive()["code"] == "busy"
    for bad in (b"\0\1", pose(0)[:-1], pose(0) + b"\0", struct.pack("<B7xQ", 1, 0) + pose(0)[16:], b"\7" + pose(0)[1:], pose(49 * 3600 * SECOND)):
        s.send(bad, opcode=2)
    first = s.receive()
    assert first["code"] == "batch" and "dropped" in first["message"], first
    for name, kind, data, text in (("consent.json", "application/json", b'{"patientName":"x"}', "patient"), ("captions.en.vtt", "text/vtt", b"no", ""),
                                   ("../../x.png", "image/png", b"x", "name"), ("thumbnail.png", "text/html", b"x", "media_type"), ("thumbnail.png", "image/png", bytes(5 << 20), "data")):
        s.say(type="record.attach", name=name, media_type=kind, data=base64.b64encode(data).decode())
        answer = s.receive()
        assert answer["code"] == "attachment" and text in answer["message"], answer
    s.say(type="meta", t=1, object={"event": "x", "PatientName": "y"})
    assert s.receive()["code"] == "meta"
    s.say(type="row", row=row(1, 1000))
    s.say(type="row", row=row(2, 2000, "annotation.add", name="big", kind="stroke", points=[[i, i, i] for i in range(20000)], rgb=[1, 2, 3], width=5))
    s.say(type="row", row=row(2, 3000))  # the number was used
    s.send(pose(4000), opcode=2)
    done, before = until(s, "record.stopped")
    assert before[-1]["code"] == "row" and before[-1]["ended"] and done["dropped"] == 6, (before, done)
    assert lesson(done["name"], "verify")["op"] == 2
    s.say(type="row", row=row(3, 5000))
    s.say(type="ping", t=1)
    assert s.receive()["type"] == "pong"  # what was under way is passed over
    s.send(b'{"type":"' + bytes(9 << 20), final=True)
    assert s.closed() in (1009, None)


def leave_open():
    s, begun = start("Left open")
    fill(s, 4)
    until(s, "record.saved")
    print(begun["name"], flush=True)
    try:
        while True:
            s.receive()
    except (EOFError, OSError):
        pass


if step == "whole":
    check_whole()
    check_saved_in_time()
    check_silence()
    check_refusals()
    print("ok")
else:
    leave_open()
