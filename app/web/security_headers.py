"""The headers that let browsers do nothing with an answer except show it."""

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.web.auth import STATIC


class SecurityHeadersMiddleware:
    """Puts these headers on every answer."""

    def __init__(self, app: ASGIApp, https: bool) -> None:
        self._app = app
        self._headers = _headers(https)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer with these headers."""
        fresh = scope["type"] == "http" and scope["path"].startswith(STATIC)

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                cache = (b"cache-control", b"public, max-age=3600" if fresh else b"no-store")
                message["headers"] = [*message["headers"], *self._headers, cache]
            await send(message)

        await self._app(scope, receive, with_headers)


def _headers(https: bool) -> list[tuple[bytes, bytes]]:
    policy = (
        "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; "
        "frame-ancestors 'none'"
    )
    headers = {
        "content-security-policy": policy,
        "x-content-type-options": "nosniff",
        "x-frame-options": "DENY",
        "referrer-policy": "same-origin",  # with none at all a browser names no origin of our own forms either
        "permissions-policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
        "cross-origin-opener-policy": "same-origin",
        "cross-origin-resource-policy": "same-origin",
    }
    if https:
        headers["strict-transport-security"] = "max-age=31536000"
    return [(name.encode(), value.encode()) for name, value in headers.items()]
