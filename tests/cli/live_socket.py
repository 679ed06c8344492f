"""A WebSocket by a plain socket, for tests of the live channel."""

import base64
import hashlib
import json
import os
import socket
import ssl
import struct
import urllib.parse


def cookie_of(jar):
    """The session's cookie in a jar of curl's, as NAME=VALUE."""
    row = next(line.strip().split("\t") for line in open(jar) if "fabrica_session" in line)
    return f"{row[-2]}={row[-1]}"


class Socket:
    """url: the server's; cookie: "NAME=VALUE" or None; authority: of TLS."""

    def __init__(self, url, cookie, origin=None, protocol="fabrica.live.1", authority=None):
        server = urllib.parse.urlparse(url)
        origin = url if origin is None else origin
        self.s = socket.create_connection((server.hostname, server.port), timeout=20)
        if server.scheme == "https":
            context = ssl.create_default_context(cafile=authority)
            self.s = context.wrap_socket(self.s, server_hostname=server.hostname)
        key = base64.b64encode(os.urandom(16)).decode()
        lines = ["GET /api/v1/live HTTP/1.1", f"Host: {server.netloc}", "Upgrade: websocket", "Connection: Upgrade",
                 f"Sec-WebSocket-Key: {key}", "Sec-WebSocket-Version: 13"]
        lines += [f"Origin: {origin}"] if origin else []
        lines += [f"Sec-WebSocket-Protocol: {protocol}"] if protocol else []
        lines += [f"Cookie: {cookie}"] if cookie else []
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
        elif length == 127:
            length = struct.unpack(">Q", self.take(8))[0]
        body = self.take(length)
        if first & 15 == 8:
            raise EOFError(struct.unpack(">H", body[:2])[0])
        return json.loads(body)

    def send(self, payload, opcode=1, final=True):
        mask = os.urandom(4)
        n = len(payload)
        head = bytes([opcode | (0x80 if final else 0), 0x80 | (n if n < 126 else 126 if n < 65536 else 127)])
        head += b"" if n < 126 else struct.pack(">H", n) if n < 65536 else struct.pack(">Q", n)
        pad = (mask * (n // 4 + 1))[:n]
        self.s.sendall(head + mask + (int.from_bytes(payload, "little") ^ int.from_bytes(pad, "little")).to_bytes(n, "little"))

    def say(self, **message):
        self.send(json.dumps(message).encode())

    def closed(self):
        try:
            while True:
                self.receive()
        except EOFError as why:
            return why.args[0] if why.args else None
        except ConnectionResetError:
            return None
