"""How a run is told to people and programs: status, progress with speed and time to go, calls, and why."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec

from app.rules.runs.progress import Progress, eta, per_second


def run_view(run: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    """A run as JSON-ready values: times in ISO 8601, spans in seconds, ``eta`` as the earliest and the latest."""
    progress = msgspec.convert(run["progress"], Progress)
    return {
        "id": run["id"],
        "connection": run["connection"],
        "strategy": run["strategy"],
        "chosen": run["checkpoint"].get("chosen"),
        "reason": run["reason"],
        "status": run["status"],
        "cause": run["cause"],
        "dryRun": bool(run["dry"]),
        "options": run["options"],
        "createdAt": _iso(run["created_at"]),
        "startedAt": _iso(run["started_at"]),
        "finishedAt": _iso(run["finished_at"]),
        "seconds": _seconds(run, now),
        "progress": _progress(progress, run),
        "counts": run["counts"],
        "calls": run["calls"],
        "price": _price(run, now) if run["dry"] else None,
        "error": run["error"],
    }


def _price(run: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    """What the real run would cost: it makes the calls that the dry one made, and takes about as long."""
    seconds = _seconds(run, now)
    return {"calls": run["calls"], "minutes": None if seconds is None else round(seconds / 60, 2)}


def _progress(progress: Progress, run: Mapping[str, Any]) -> dict[str, Any]:
    told = {name: getattr(progress, name) for name in Progress.__struct_fields__ if name != "marks"}
    running = run["status"] == "running"
    span = eta(progress, run["started_at"]) if running else None
    speed = per_second(progress.marks) if running else _average(progress, run)
    return {
        **told,
        "total": progress.processed if run["status"] == "completed" else progress.total,
        "batch": progress.batch if running else None,
        "itemsPerSecond": None if speed is None else round(speed, 1),
        "eta": None if span is None else {"earliest": round(span[0], 1), "latest": round(span[1], 1)},
    }


def _average(progress: Progress, run: Mapping[str, Any]) -> float | None:
    if run["started_at"] is None or run["finished_at"] is None:
        return None
    seconds = float((run["finished_at"] - run["started_at"]).total_seconds())
    return progress.processed / seconds if seconds > 0 else None


def _seconds(run: Mapping[str, Any], now: datetime) -> float | None:
    if run["started_at"] is None:
        return None
    return round(float(((run["finished_at"] or now) - run["started_at"]).total_seconds()), 3)


def _iso(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()
