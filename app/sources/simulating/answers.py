"""What simulators read and answer: JSON, its numbers, and the bodies of requests and answers."""

from decimal import Decimal
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from app.domain.decoding import decode

Json = dict[str, Any]


def decimal_text(amount: Decimal) -> str:
    """A number as text without trailing zeros: ``12``, ``0.5``, never ``1E+1``."""
    text = f"{amount:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def json_response(body: Any, status: int = 200) -> Response:
    """A JSON answer."""
    return Response(msgspec.json.encode(body), status, media_type="application/json")


async def object_in(request: Request) -> Json:
    """The JSON object in a body, an empty one in an empty body; raises ``ValueError`` for anything else."""
    return decode(await request.body() or b"{}", Json)


async def body_of(response: Response) -> bytes:
    """The whole body of an answer, also of a streamed one, which is used up by that."""
    if hasattr(response, "body_iterator"):
        chunks = [chunk async for chunk in response.body_iterator]
        return b"".join(chunk.encode() if isinstance(chunk, str) else bytes(chunk) for chunk in chunks)
    return bytes(response.body)
