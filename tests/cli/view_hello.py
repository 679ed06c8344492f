"""Says hello on the live channel over TLS, as another machine does.

usage: view_hello.py URL COOKIE_JAR AUTHORITY
"""

import sys

from live_socket import Socket, cookie_of

url, jar, authority = sys.argv[1:]
s = Socket(url, cookie_of(jar), authority=authority)
assert s.status == 101
hello = s.receive()
assert hello["type"] == "hello" and hello["role"] == "view", hello
s.say(type="ping", t=4)
assert s.receive() == {"type": "pong", "t": 4}
try:
    Socket(url, cookie_of(jar))
    raise SystemExit("an unknown authority was trusted")
except OSError as why:
    assert "certificate" in str(why).lower(), why
print("ok")
