"""The operations for admins."""

from __future__ import annotations

from typing import Any

from app.domain import Role
from app.web.api import access
from app.web.api.answers import Rows
from app.web.api.asked import Asked
from app.web.api.operation import Operation

TOKENS = "/api/access/tokens"


def _admin(method: str, path: str, summary: str, call: Any, answers: Any, says: str, **more: Any) -> Operation:
    return Operation(method, path, summary, call, answers, says, role=Role.ADMIN, **more)


OPERATIONS: tuple[Operation, ...] = (
    _admin("GET", TOKENS, "Every token", access.list_tokens, access.Listed, "without their secrets", asks=Asked),
    _admin(
        "POST",
        TOKENS,
        "Create a token",
        access.create_token,
        access.Issued,
        "the token; its secret is shown only here",
        asks=access.NewToken,
        in_body=True,
        status=201,
        errors=(408, 413, 422),
    ),
    _admin(
        "POST",
        TOKENS + "/{id:int}/revoke",
        "Revoke a token",
        access.revoke_token,
        access.Listed,
        "it stops working within two seconds",
        asks=access.OfToken,
        errors=(409, 422),
    ),
    _admin("GET", "/api/access/users", "Every user", access.list_users, access.Listed, "by name", asks=Asked),
    _admin(
        "GET",
        "/api/audit",
        "The audit log",
        access.list_audit,
        Rows,
        "newest first",
        asks=access.AuditPage,
        heavy=True,
    ),
)
