"""Sends webhooks to other programs over HTTP."""

import asyncio
import ssl
from collections.abc import Mapping
from contextlib import suppress
from functools import lru_cache
from typing import NamedTuple

import httpx

from app.errors import Unavailable

TIMEOUT = 15.0
"""Seconds for the whole of a message, from the connection to the status of the answer."""

ANSWER = 2.0
"""Further seconds for the body of the answer: the status alone decides."""

MAX_BYTES = 64 << 10
"""So much of an answer is read."""


class Answer(NamedTuple):
    """The answer to a message: its status, and how its body begins."""

    status: int
    text: str

    @property
    def good(self) -> bool:
        """Whether the message was accepted."""
        return 200 <= self.status < 300


def post(url: str, body: bytes, headers: Mapping[str, str]) -> Answer:
    """Send one message with JSON; redirects are not followed. Raises ``Unavailable`` if no answer came in time."""
    try:
        return asyncio.run(_post(url, body, headers))
    except TimeoutError:
        raise Unavailable(f"no answer within {TIMEOUT:g} s") from None
    except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as error:
        raise Unavailable(f"no answer: {type(error).__name__}: {error}") from None


async def _post(url: str, body: bytes, headers: Mapping[str, str]) -> Answer:
    """With asyncio, because it alone can end a call as a whole: who sends one byte of a header now and then would keep a
    thread for days."""
    fixed = {"content-type": "application/json", "user-agent": "tallyhook", "accept-encoding": "identity"}
    async with httpx.AsyncClient(verify=_ssl_context(), timeout=TIMEOUT, follow_redirects=False) as client:
        request = client.build_request("POST", url, content=body, headers={**fixed, **headers})
        async with asyncio.timeout(TIMEOUT):
            response = await client.send(request, stream=True)
        return Answer(response.status_code, await _beginning(response))


async def _beginning(response: httpx.Response) -> str:
    read = bytearray()
    with suppress(httpx.HTTPError, TimeoutError):
        async with asyncio.timeout(ANSWER):
            async for chunk in response.aiter_raw():
                read += chunk
                if len(read) >= MAX_BYTES:
                    break
    with suppress(httpx.HTTPError):
        await response.aclose()
    return bytes(read[:MAX_BYTES]).decode(errors="replace")


@lru_cache(maxsize=1)
def _ssl_context() -> ssl.SSLContext:
    return httpx.create_ssl_context()
