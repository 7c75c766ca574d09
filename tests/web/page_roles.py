"""The pages, and the least role that each needs."""

from app.domain import Role

_SHOWN = (
    "/dead-letters",
    "/dead-letters/preview",
    "/dead-letters/{id:int}",
    "/replays",
    "/replays/{id:int}",
    "/inbox",
    "/inbox/{id:int}",
    "/gaps",
    "/holds",
    "/holds/{id:int}",
    "/alerts",
)
_CHANGED = (
    "/dead-letters/replay",
    "/dead-letters/discard",
    "/dead-letters/{id:int}/replay",
    "/dead-letters/{id:int}/discard",
    "/dead-letters/{id:int}/restore",
    "/dead-letters/{id:int}/args",
    "/replays/{id:int}/abort",
    "/inbox/{id:int}/replay",
    "/holds/{id:int}/release",
    "/holds/{id:int}/meant",
    "/holds/{id:int}/dismiss",
)

PAGES: dict[tuple[str, str], Role] = {
    **{("GET", path): Role.VIEWER for path in _SHOWN},
    ("GET", "/dead-letters/preview"): Role.OPERATOR,
    **{("POST", path): Role.OPERATOR for path in _CHANGED},
    ("GET", "/audit"): Role.ADMIN,
    ("GET", "/access"): Role.ADMIN,
}
