"""The live channel by a plain socket: greeting, ping, limits, and who is not let in.

usage: view_live.py URL COOKIE_JAR
"""

import base64
import hashlib
import http.client
import json
import os
import socket
import struct
import sys
import time
import urllib.parse

url, jar = sys.argv[1:]
server = urllib.parse.urlparse(url)
cookie = next(line.split("\t")[-1].strip() for line in open(jar) if "fabrica_session" in line)


class Socket:
    def __init__(self, origin=url, session=cookie, protocol="fabrica.live.1"):
        self.s = socket.create_connection((server.hostname, server.port), timeout=20)
        key = base64.b64encode(os.urandom(16)).decode()
        lines = ["GET /api/v1/live HTTP/1.1", f"Host: {server.netloc}", "Upgrade: websocket", "Connection: Upgrade",
                 f"Sec-WebSocket-Key: {key}", "Sec-WebSocket-Version: 13"]
        lines += [f"Origin: {origin}"] if origin else []
        lines += [f"Sec-WebSocket-Protocol: {protocol}"] if protocol else []
        lines += [f"Cookie: fabrica_session={session}"] if session else []
        self.s.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
        head = b""
        while b"\r\n\r\n" not in head:
            more = self.s.recv(4096)
            if not more:
                break
            head += more
        head, self.rest = head.split(b"\r\n\r\n", 1)
        self.status = int(head.split()[1])
        if self.status == 101:
            want = hashlib.sha1((key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode()).digest()
            assert base64.b64encode(want) in head and b"fabrica.live.1" in head

    def take(self, n):
        while len(self.rest) < n:
            more = self.s.recv(65536)
            if not more:
                raise EOFError
            self.rest += more
        out, self.rest = self.rest[:n], self.rest[n:]
        return out

    def receive(self):
        first, length = self.take(2)
        if length == 126:
            length = struct.unpack(">H", self.take(2))[0]
        body = self.take(length)
        if first & 15 == 8:
            raise EOFError(struct.unpack(">H", body[:2])[0])
        return json.loads(body)

    def send(self, payload, opcode=1, final=True):
        mask = os.urandom(4)
        n = len(payload)
        head = bytes([opcode | (0x80 if final else 0), 0x80 | (n if n < 126 else 126 if n < 65536 else 127)])
        head += b"" if n < 126 else struct.pack(">H", n) if n < 65536 else struct.pack(">Q", n)
        self.s.sendall(head + mask + bytes(b ^ mask[i % 4] for i, b in enumerate(payload)))

    def closed(self):
        try:
            while True:
                self.receive()
        except EOFError as why:
            return why.args[0] if why.args else None
        except ConnectionResetError:
            return None


assert Socket(origin="http://evil.example").status == 403
assert Socket(origin=None).status == 403
assert Socket(session=None).status == 401
assert Socket(session="A" * 43).status == 401
assert Socket(protocol=None).status == 400
assert Socket(protocol="other").status == 400

s = Socket()
assert s.status == 101
hello = s.receive()
assert hello["type"] == "hello" and hello["role"] == "view", hello
s.send(b'{"type":"ping","t":17.5}')
assert s.receive() == {"type": "pong", "t": 17.5}
s.send(b'{"type":"pi', final=False)
s.send(b'ng","t":3}', opcode=0)
assert s.receive() == {"type": "pong", "t": 3}
s.send(b'{"type":"sing"}')
assert s.receive()["code"] == "type"
s.send(b"nonsense")
assert s.receive()["code"] == "json"
s.send(b'{"type":"ping","t":"' + b"x" * 9000 + b'"}')
assert s.receive() == {"type": "pong", "t": None}
s.send(b'{"type":"' + b"x" * 17000 + b'"}')
assert s.closed() in (1009, None)

s = Socket()
s.receive()
s.send(b"\0\1", opcode=2)
assert s.closed() in (1003, None)
# one address, many connections: the 33rd is closed, and when the others are gone there is room again
many = [socket.create_connection((server.hostname, server.port), timeout=20) for _ in range(40)]
refused = 0
for one in many:
    try:
        one.sendall(f"GET /api/v1/health HTTP/1.1\r\nHost: {server.netloc}\r\n\r\n".encode())
        refused += one.recv(100) == b""
    except OSError:
        refused += 1
assert 8 <= refused <= 10, refused
for one in many:
    one.close()

# who logs out is out of the channel too
for attempt in range(100):
    try:
        s = Socket()
        break
    except (OSError, ValueError):
        time.sleep(0.05)
s.receive()
link = http.client.HTTPConnection(server.hostname, server.port, timeout=20)
link.request("DELETE", "/api/v1/session", headers={"Cookie": "fabrica_session=" + cookie})
assert link.getresponse().status == 204
assert s.closed() == 1008
assert Socket().status == 401
print("ok")
