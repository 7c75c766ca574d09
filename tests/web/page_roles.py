"""The pages, and the least role that each needs."""

from __future__ import annotations

from app.domain import Role

PAGES: dict[tuple[str, str], Role] = {}
