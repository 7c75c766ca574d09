"""The simulator's answers, both right and spoiled ones."""

import json
from collections.abc import Iterator, Sequence
from html import escape
from typing import Any

from starlette.responses import HTMLResponse, Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from app.sources.finale.simulator.settings import Options
from app.sources.simulating.answers import body_of
from app.sources.simulating.bad_records import with_bad_cells, with_bad_records
from app.sources.simulating.settings import is_due

SMALL = 2_000  # rows; a longer list is streamed
_LOGIN = """<html><head><title>Finale Inventory Login</title></head><body><form action="/login" method="post">
<input name="username"><input name="password" type="password"></form></body></html>"""
_BROKEN = "<html><head><title>Oops</title></head><body><h2>Something went wrong</h2></body></html>"


class Dropped(Response):
    """Promises a whole body, sends half of it and breaks off."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        half = bytes(self.body)[: len(self.body) // 2]
        await send({"type": "http.response.body", "body": half, "more_body": True})
        raise ConnectionResetError("dropped on purpose (switch next_dropped)")


def json_answer(value: Any, status: int = 200) -> Response:
    """JSON as Finale writes it."""
    return Response(json.dumps(value, separators=(",", ":")), status, media_type="application/json")


def streamed(pieces: Iterator[bytes], rows: int) -> Response:
    """A list: short ones at once, long ones in pieces from a thread."""
    if rows <= SMALL:
        return Response(b"".join(pieces), media_type="application/json")
    return StreamingResponse(pieces, media_type="application/json")


def not_found(path: str) -> Response:
    """Finale's 404; every character is a reference, as in the capture."""
    spelled = "".join(f"&#{ord(character)};" for character in path)
    page = f"<p>The requested URL {spelled} was not found on the server.</p>"
    return HTMLResponse(f"<html><title> Not Found </title>\n<body><h2> Not Found </h2>\n{page}\n</body></html>", 404)


def refused(status: int, message: str) -> Response:
    """An error as the vendor answers it: a page of HTML that shows the message."""
    return HTMLResponse(f"<html><title> {status} </title><body>{escape(message)}</body></html>", status)


def wrong_method(allowed: Sequence[str]) -> Response:
    """A 405 that names the path's methods."""
    answer = refused(405, "Method Not Allowed")
    answer.headers["Allow"] = ", ".join(allowed)
    return answer


def login_page() -> Response:
    """The answer to a report request without credentials, with status 200."""
    return HTMLResponse(_LOGIN)


async def spoiled(answer: Response, options: Options) -> Response:
    """The answer, or a spoiled one where a switch asks for it; each such switch counts down."""
    for name, wrong in _WRONG.items():
        if is_due(options, name):
            return wrong(await body_of(answer))
    if options.bad_records and answer.status_code == 200:
        return _with_bad_records(await body_of(answer), options)
    return answer


def _with_bad_records(body: bytes, options: Options) -> Response:
    document = json.loads(body)
    has_columns = isinstance(document, dict) and all(isinstance(cells, list) for cells in document.values())
    spoil = with_bad_cells if has_columns else with_bad_records
    return json_answer(spoil(document, options.bad_records, options.seed))


def _json(body: bytes) -> Response:
    return Response(body, media_type="application/json")


def _error_body(body: bytes) -> Response:
    return json_answer({"success": False, "errorMessage": "The simulated server is in a bad mood"})


_WRONG = {
    "next_502": lambda body: HTMLResponse(_BROKEN, 502),
    "next_html": lambda body: HTMLResponse(_BROKEN),
    "next_login": lambda body: login_page(),
    "next_truncated": lambda body: _json(body[: len(body) // 2]),
    "next_dropped": lambda body: Dropped(body, media_type="application/json"),
    "next_empty": lambda body: _json(b""),
    "next_error_body": _error_body,
}
