"""Renders pages from templates: plain HTML, escaped by default, no script, one style sheet."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse

from app.web.callers import principal_of

_HERE = Path(__file__).parent
_TEMPLATES = Environment(
    loader=FileSystemLoader(_HERE / "templates"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
)
STATIC = _HERE / "static"


def render(request: Request, template: str, status: int = 200, **context: Any) -> HTMLResponse:
    """A page. Templates also see ``principal`` (the caller, or ``None``) and ``csrf``, which every form must send along."""
    known = {"principal": principal_of(request), "csrf": request.scope.get("csrf", ""), "path": request.scope["path"]}
    return HTMLResponse(_TEMPLATES.get_template(template).render(**known, **context), status)


def _moment(value: datetime | str | None) -> str:
    read = datetime.fromisoformat(value) if isinstance(value, str) else value
    return "-" if read is None else f"{read.astimezone(UTC):%Y-%m-%d %H:%M:%S}"


_TEMPLATES.filters["moment"] = _moment
