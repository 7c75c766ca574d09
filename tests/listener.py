"""A program that listens to webhooks: a real HTTP server that keeps what it gets and answers as it is told."""

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

import msgspec


class Got(NamedTuple):
    """A message as it arrived; header names are in lower case."""

    path: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def id(self) -> str:
        """The message's id."""
        return self.headers["webhook-id"]

    @property
    def rows(self) -> list[str]:
        """The changes in it: "created A"."""
        return [f"{row['op']} {row['externalId']}" for row in self.json["data"]["rows"]]

    @property
    def json(self) -> Any:
        """The body, read."""
        return msgspec.json.decode(self.body)


class Listener:
    """What came, and what is answered: a status, or several, the last of them for ever."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.got: list[Got] = []
        self.answers = [200]
        self.text = b""
        self.headers: dict[str, str] = {}
        self.before_answer: Callable[[], object] = lambda: None
        self._lock = threading.Lock()

    def take(self, got: Got) -> int:
        """Keep a message; returns the status to answer with."""
        self.before_answer()
        with self._lock:
            self.got.append(got)
            return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]

    @property
    def rows(self) -> list[str]:
        """All changes that were sent, in order."""
        return [row for got in self.got for row in got.rows]


@contextmanager
def listening() -> Iterator[Listener]:
    """A listener on a free port of this machine."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            headers = {name.lower(): value for name, value in self.headers.items()}
            status = listener.take(Got(self.path, headers, body))
            self.send_response(status)
            for name, value in {**listener.headers, "content-length": str(len(listener.text))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(listener.text)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        listener = Listener(f"http://127.0.0.1:{server.server_address[1]}/changes")
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield listener
        finally:
            server.shutdown()
            thread.join()
