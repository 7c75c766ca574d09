"""What no client library sends: broken, ambiguous, endless and slow requests, as bytes."""

import random
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from functools import partial

from tests.web.attacked import HOOK, Attacked

Attack = Callable[[Attacked], object]

INNER = b"GET /smuggled HTTP/1.1\r\nHost: here\r\n\r\n"
GET = b"GET /healthz HTTP/1.1\r\nHost: here\r\n"
POST = b"POST /login HTTP/1.1\r\nHost: here\r\n"

AMBIGUOUS = {
    "length and chunks": POST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunks and length": POST + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
    "two lengths": POST + b"Content-Length: 0\r\nContent-Length: 39\r\n\r\n",
    "two lengths in one": POST + b"Content-Length: 0, 39\r\n\r\n",
    "a signed length": POST + b"Content-Length: +0\r\n\r\n",
    "a negative length": POST + b"Content-Length: -1\r\n\r\n",
    "a hexadecimal length": POST + b"Content-Length: 0x0\r\n\r\n",
    "a huge length": POST + b"Content-Length: 99999999999999999999999\r\n\r\n",
    "another coding": POST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "chunked is not last": POST + b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
    "chunked twice": POST + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n",
    "blank before colon": POST + b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
    "blank before colon of length": POST + b"Content-Length : 39\r\n\r\n",
    "obs-fold": POST + b"X-Odd: a\r\n Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "folded coding": POST + b"Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n",
    "chunk size overflows": POST + b"Transfer-Encoding: chunked\r\n\r\n10000000000000000\r\n",
    "chunk size wraps": POST + b"Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n",
    "no chunk size": POST + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
    "chunk longer than told": POST + b"Transfer-Encoding: chunked\r\n\r\n1\r\nabc\r\n0\r\n\r\n",
    "bare CR in a value": GET + b"X-Odd: a\rContent-Length: 39\r\n\r\n",
    "NUL in a value": GET + b"X-Odd: a\x00b\r\n\r\n",
    "NUL in a name": GET + b"X-\x00Odd: a\r\n\r\n",
    "no name": GET + b": a\r\n\r\n",
    "HTTP/2 preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "version 9": b"GET / HTTP/9.9\r\nHost: here\r\n\r\n",
    "no method": b" / HTTP/1.1\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(range(200)),
}
"""Each must be refused, and nothing behind it on the same connection be read as a request."""

ODD = {
    "bare LF": b"GET /healthz HTTP/1.1\nHost: here\n\n",
    "HTTP/0.9": b"GET /healthz\r\n",
    "absolute form": b"GET http://evil.example/api/dead-letters HTTP/1.1\r\nHost: here\r\n\r\n",
    "absolute form of a page": b"GET http://evil.example/login HTTP/1.1\r\nHost: here\r\n\r\n",
    "absolute form without path": b"GET http://evil.example HTTP/1.1\r\nHost: here\r\n\r\n",
    "asterisk": b"OPTIONS * HTTP/1.1\r\nHost: here\r\n\r\n",
    "CONNECT": b"CONNECT evil.example:443 HTTP/1.1\r\nHost: evil.example\r\n\r\n",
    "odd host": b"GET /nowhere HTTP/1.1\r\nHost: [::1\r\nAccept: text/html\r\n\r\n",
    "host with a path": b"GET /nowhere HTTP/1.1\r\nHost: a/api/?#@:x\r\nAccept: text/html\r\n\r\n",
    "no host": b"GET /dead-letters HTTP/1.1\r\nAccept: text/html\r\n\r\n",
    "raw bytes in the query": b"GET /login?next=\xff\xfe HTTP/1.1\r\nHost: here\r\nAccept: text/html\r\n\r\n",
    "raw bytes in a page's query": b"GET /inbox?filter=\xff HTTP/1.1\r\nHost: here\r\nAccept: text/html\r\n\r\n",
    "raw bytes in the path": b"GET /\xc3\xa9 HTTP/1.1\r\nHost: here\r\n\r\n",
    "odd escapes": b"GET /%00/%ff/%zz/..%2f..%2fetc/passwd HTTP/1.1\r\nHost: here\r\n\r\n",
    "static, upwards": b"GET /static/..%2f..%2fapp.py HTTP/1.1\r\nHost: here\r\n\r\n",
    "static, NUL": b"GET /static/%00 HTTP/1.1\r\nHost: here\r\n\r\n",
    "static, long": b"GET /static/" + b"a" * 5_000 + b" HTTP/1.1\r\nHost: here\r\n\r\n",
    "static, not UTF-8": b"GET /static/%ff HTTP/1.1\r\nHost: here\r\n\r\n",
    "upgrade": GET + b"Connection: Upgrade\r\nUpgrade: h2c\r\n\r\n",
    "websocket": GET + b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: x\r\n\r\n",
    "expectation": POST + b"Expect: 100-continue\r\nContent-Length: 3\r\n\r\na=b",
    "odd credentials": GET.replace(b"/healthz", b"/") + b"Authorization: Bearer \xff\xfe\r\n\r\n",
    "two credentials": GET.replace(b"/healthz", b"/") + b"Authorization: Bearer a\r\nAuthorization: Basic b\r\n\r\n",
    "forwarded": GET.replace(b"/healthz", b"/") + b"X-Forwarded-For: \x01,,\r\nForwarded: for=_\r\n\r\n",
    "long path": b"GET /" + b"a" * 20_000 + b" HTTP/1.1\r\nHost: here\r\n\r\n",
    "long query": b"GET /login?" + b"a" * 9_000 + b" HTTP/1.1\r\nHost: here\r\n\r\n",
    "large header": GET + b"X-Odd: " + b"a" * 40_000 + b"\r\n\r\n",
    "many headers": GET + b"a:b\r\n" * 10_000 + b"\r\n",
    "large body of a page": POST + b"Content-Length: 70000\r\n\r\n" + b"a" * 70_000,
    "large body in chunks": POST
    + b"Transfer-Encoding: chunked\r\n\r\n"
    + (b"4000\r\n" + b"a" * 16_384 + b"\r\n") * 5,
    "large delivery in chunks": POST.replace(b"/login", HOOK.encode())
    + b"Transfer-Encoding: chunked\r\n\r\n"
    + (b"20000\r\n" + b"a" * 131_072 + b"\r\n") * 9,
    "trailers": POST + b"Transfer-Encoding: chunked\r\n\r\n0\r\nHost: evil\r\nAuthorization: Bearer x\r\n\r\n",
    "pipelined": (GET + b"\r\n") * 300,
    "only the beginning": b"GE",
    "nothing": b"",
}
"""Each may be answered or refused, with nothing that is our fault."""

STATUSES = {
    "large header": 431,
    "many headers": 431,
    "long path": 414,
    "long query": 414,
    "large body of a page": 413,
}
"""What some of them must be answered with."""


def ambiguous(victim: bytes) -> Iterator[Attack]:
    """Each with a smuggled request and a victim's behind it, as a proxy that keeps its connections would send them."""
    for name, raw in AMBIGUOUS.items():
        yield partial(_refused, name=name, raw=raw + INNER + victim)


def _refused(attacked: Attacked, name: str, raw: bytes) -> None:
    statuses = attacked.say(name, raw, 3.0)
    if statuses != [400]:
        attacked.wrong.append(f"{name}: answered with {statuses}, and only one 400 is right")


def odd() -> Iterator[Attack]:
    """All of ``ODD``."""
    for name, raw in ODD.items():
        yield partial(_answered, name=name, raw=raw)


def _answered(attacked: Attacked, name: str, raw: bytes) -> None:
    statuses = attacked.say(name, raw, 1.0)
    if name in STATUSES and statuses != [STATUSES[name]]:
        attacked.wrong.append(f"{name}: answered with {statuses}, and {STATUSES[name]} is right")


def mutated(count: int) -> Iterator[Attack]:
    """Requests with bytes changed, put in, left out and doubled."""
    lots = random.Random(4)
    seeds = [raw for raw in (*AMBIGUOUS.values(), *ODD.values()) if 0 < len(raw) < 400]
    for number in range(count):
        raw = bytearray(lots.choice(seeds))
        for _ in range(lots.randrange(1, 5)):
            at = lots.randrange(len(raw))
            raw[at : at + lots.randrange(3)] = lots.choice(
                [b"", b"\r", b"\n", b"\x00", b" ", b":", lots.randbytes(2)]
            )
            raw = raw or bytearray(b"\r\n")
        sent = bytes(raw)
        yield partial(Attacked.say, note=f"mutation {number} {sent[:80]!r}", raw=sent, quiet=0.05)


def slow(attacked: Attacked) -> None:
    """Those who take their time, all at once: heads by the byte, bodies that do not come, idle lines."""
    began = time.monotonic()
    with ExitStack() as stack:
        lines = [stack.enter_context(closing(attacked.dial())) for _ in range(345)]
        heads, bodies, lingering = lines[:15], lines[15:30], lines[30:45]
        for line in bodies:
            line.sendall(POST.replace(b"/login", HOOK.encode()) + b"Content-Length: 100\r\n\r\n{")
        for line in lingering:
            line.sendall(POST + b"Content-Length: 100\r\n\r\na")
        told = bytearray()
        for sent in range(64):
            for line in heads:
                _trickle(line, GET[sent % len(GET) : sent % len(GET) + 1])
            time.sleep(0.25)
        for line in lines:
            told.clear()
            if not _closes(line, told, began + 120):
                attacked.wrong.append(f"a slow line is open after {time.monotonic() - began:.0f} s: {bytes(told)!r}")
            status = int(told.split()[1]) if told else 0
            if told:
                attacked.saw("slow", status, bytes(told))
            if line in bodies + lingering and status != 408:
                attacked.wrong.append(f"a slow body was answered with {status}")


def _trickle(line: object, byte: bytes) -> None:
    try:
        line.sendall(byte)  # type: ignore[attr-defined]
    except OSError:
        return


def _closes(line: object, told: bytearray, deadline: float) -> bool:
    """Whether the server hangs up by then; what it said is put into ``told``."""
    try:
        while True:
            line.settimeout(max(0.1, deadline - time.monotonic()))  # type: ignore[attr-defined]
            more = line.recv(4_096)  # type: ignore[attr-defined]
            if not more:
                return True
            told += more
    except TimeoutError:
        return False
    except OSError:
        return True
