"""The live channel by a plain socket: greeting, ping, limits, and who is not let in.

usage: view_live.py URL COOKIE_JAR
"""

import http.client
import socket
import sys
import time
import urllib.parse

from live_socket import Socket, cookie_of

url, jar = sys.argv[1:]
server = urllib.parse.urlparse(url)
cookie = cookie_of(jar)

assert Socket(url, cookie, origin="http://evil.example").status == 403
assert Socket(url, cookie, origin="").status == 403
assert Socket(url, None).status == 401
assert Socket(url, cookie.split("=")[0] + "=" + "A" * 43).status == 401
assert Socket(url, cookie, protocol=None).status == 400
assert Socket(url, cookie, protocol="other").status == 400

s = Socket(url, cookie)
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

s = Socket(url, cookie)
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
        s = Socket(url, cookie)
        break
    except (OSError, ValueError):
        time.sleep(0.05)
s.receive()
link = http.client.HTTPConnection(server.hostname, server.port, timeout=20)
link.request("DELETE", "/api/v1/session", headers={"Cookie": cookie})
assert link.getresponse().status == 204
assert s.closed() == 1008
assert Socket(url, cookie).status == 401
print("ok")
