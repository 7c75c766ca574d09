"""A vendor's answer that swells or drips ends at a bound: neither memory nor a thread is its hostage."""

import gzip
import io
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from app.errors import Unavailable, Unmappable
from app.sources.base import Context, Unlimited
from app.sources.http import Bound, Http

BOMB = gzip.compress(bytes(50_000_000))
TWICE = gzip.compress(BOMB)
SMALL = Bound(1_000_000, 60.0)
SHORT = Bound(1_000_000, 0.3)


class Hostile(BaseHTTPRequestHandler):
    """Answers with a bomb, a drip, or something ordinary."""

    stopped = threading.Event()

    def do_GET(self) -> None:
        self.send_response(500 if self.path == "/failing-bomb" else 200)
        body = b'{"a":1}' if self.path == "/plain" else BOMB
        if body is BOMB and self.path != "/drip":
            self.send_header("content-encoding", "gzip, gzip" if self.path == "/twice" else "gzip")
        body = TWICE if self.path == "/twice" else body
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        if self.path != "/drip":
            self.wfile.write(body)
            return
        try:
            while not self.stopped.wait(0.01):
                self.wfile.write(b" ")
        except OSError:  # the caller has gone, as it should
            pass

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hostile)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    Hostile.stopped.set()
    server.shutdown()
    thread.join()
    server.server_close()


def http(url: str, bound: Bound) -> Http:
    return Http(Context("shop", Unlimited()), url, {}, in_memory=bound, in_a_file=bound)


@pytest.mark.parametrize("path", ["/bomb", "/failing-bomb"])
def test_an_answer_that_swells_is_given_up(url: str, path: str) -> None:
    with pytest.raises(Unmappable, match="larger than 1,000,000 bytes"):
        http(url, SMALL).request("GET", path)


def test_an_answer_that_is_encoded_twice_is_not_decoded(url: str) -> None:
    with pytest.raises(Unmappable, match="gzip, gzip"):
        http(url, SMALL).request("GET", "/twice")


def test_a_streamed_answer_that_swells_fills_no_disk(url: str) -> None:
    file = io.BytesIO()
    with pytest.raises(Unmappable):
        http(url, SMALL).request("GET", "/bomb", into=file)
    assert len(file.getvalue()) <= SMALL.bytes


@pytest.mark.parametrize("into", [None, io.BytesIO()])
def test_an_answer_that_drips_is_given_up(url: str, into: io.BytesIO | None) -> None:
    with pytest.raises(Unavailable, match=r"not complete after 0\.3 s"):
        http(url, SHORT).request("GET", "/drip", attempts=1, into=into)


def test_an_ordinary_answer_is_read(url: str) -> None:
    assert http(url, SMALL).request("GET", "/plain").json() == {"a": 1}
