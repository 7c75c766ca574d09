"""A vendor that answers every call with everything it was told, credentials above all, in as many ways as there are."""

import base64
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import quote

ANSWERS = {"AS401": 401, "AS400": 400, "AS500": 500, "ASHTML": 200, "ASJSON": 200}
"""How it answers a call in which one of these words is found; it answers 400 to all others."""

CHECKS = ("/partygroup/PRIMARY", "/v2/locations")
"""The calls that say whether the account answers at all: it does, or nothing else would be asked."""


class Echo(BaseHTTPRequestHandler):
    """One call."""

    protocol_version = "HTTP/1.1"

    def answer(self) -> None:
        """Say all that was heard."""
        sent = self.rfile.read(int(self.headers.get("content-length") or 0)).decode()
        word = next((word for word in ANSWERS if word in self.path + sent), "AS400")
        heard = self._heard()
        kind, body = "application/json", json.dumps({"errors": [{"detail": heard, "body": sent}], "error": heard})
        if word == "ASHTML":
            kind, body = "text/html", f"<html><title>Sign in</title>{heard}</html>"
        is_check = self.path.endswith(CHECKS)
        if is_check:
            body = json.dumps({"locations": []})
        self.send_response(200 if is_check else ANSWERS[word])
        self.send_header("content-type", kind)
        self.send_header("location", f"http://127.0.0.1/login?{quote(heard)}")
        self.send_header("x-heard", quote(heard))
        self.send_header("content-length", str(len(body.encode())))
        self.end_headers()
        self.wfile.write(body.encode())

    do_GET = do_POST = answer  # noqa: N815 (the base class looks for these names)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing."""

    def _heard(self) -> str:
        """The credentials as they came, decoded, URL-encoded, encoded once more, and cut off."""
        given = self.headers.get("authorization", "")
        _, _, secret = given.partition(" ")
        try:
            plain = base64.b64decode(secret, validate=True).decode()
        except ValueError:
            plain = secret
        again = base64.b64encode(f"you said {plain}".encode()).decode()
        return f"{given} {plain} {quote(plain, safe='')} {again} {self.path}?token={quote(plain)} {plain}{plain[:-3]}"


@contextmanager
def vendor() -> Iterator[str]:
    """Its address while it listens."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Echo)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
