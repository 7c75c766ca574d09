"""``/metrics``: what every connection comes to, as Prometheus reads it; counters since the installation began."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import NamedTuple

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from app.domain import Role
from app.flows.deps import Deps
from app.flows.samples import Sample, samples
from app.web.callers import allowed
from app.web.heavy import HeavyReads

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Family(NamedTuple):
    """What samples of one name are: ``kind`` is ``counter``, ``gauge`` or ``histogram``."""

    kind: str
    help: str


FAMILIES: Mapping[str, Family] = {
    "tallyhook_connection_state": Family("gauge", "1 for the state that the connection is in, 0 for the others."),
    "tallyhook_forbidden_kinds": Family(
        "gauge", "Kinds left out: not allowed, or not answered; absent for the others."
    ),
    "tallyhook_runs_total": Family(
        "counter", "Bulk runs ever started, by strategy and status; active ones included."
    ),
    "tallyhook_api_calls_total": Family(
        "counter", "Calls to the source, by what they are made for; of at least a year."
    ),
    "tallyhook_run_api_calls_total": Family("counter", "Calls to the source that runs made."),
    "tallyhook_recent_run_success_ratio": Family(
        "gauge", "Completed among the runs of 7 days that ended by themselves."
    ),
    "tallyhook_recent_run_seconds": Family("gauge", "How long the completed runs of 7 days took, by quantile."),
    "tallyhook_recent_run_items": Family("gauge", "Records that the finished runs of 7 days processed."),
    "tallyhook_recent_run_items_failed": Family("gauge", "Records that the finished runs of 7 days could not sync."),
    "tallyhook_recent_run_items_per_second": Family("gauge", "How fast the finished runs of 7 days were."),
    "tallyhook_items_settled_total": Family("counter", "Owed items settled, by kind and outcome."),
    "tallyhook_changes_settled_total": Family("counter", "Changes that settled items had, by kind and outcome."),
    "tallyhook_visible_seconds": Family("histogram", "From a change's first sight to our row being as the source's."),
    "tallyhook_owed_items": Family("gauge", "Items with changes not settled yet."),
    "tallyhook_oldest_owed_seconds": Family("gauge", "Age of the oldest change not settled; absent if none is owed."),
    "tallyhook_agreement_ratio": Family("gauge", "Share of rows that the latest complete read found right."),
    "tallyhook_agreement_timestamp_seconds": Family("gauge", "When that read ended."),
    "tallyhook_spot_checks": Family("gauge", "Random rows compared with the source since the latest complete read."),
    "tallyhook_agreement_low_ratio": Family("gauge", "Lower end of the share right since then, 95 % certain."),
    "tallyhook_agreement_high_ratio": Family("gauge", "Upper end of that share."),
    "tallyhook_budget_calls": Family("gauge", "Calls that a window of the API budget holds."),
    "tallyhook_budget_seconds": Family("gauge", "How long that window is."),
    "tallyhook_budget_used_calls": Family("gauge", "Calls of the window used now, by lane."),
    "tallyhook_failed_items": Family("gauge", "Items that runs could not sync and that are not mended, by category."),
    "tallyhook_dead_letters": Family("gauge", "Dead letters about items that wait for a person."),
    "tallyhook_open_holds": Family("gauge", "Batches that the guard holds for a person, by kind; absent for none."),
    "tallyhook_open_alerts": Family(
        "gauge", "Alerts of what is not over, by severity; without a connection those of the whole installation."
    ),
    "tallyhook_failed_tries": Family("gauge", "Failed tries of the items owed now; absent for none."),
    "tallyhook_active_replays": Family("gauge", "Replays that have not come to their end."),
    "tallyhook_processes": Family("gauge", "Processes that gave a sign of life within 30 seconds, by role."),
}


def metrics_routes(deps: Deps, heavy: HeavyReads) -> list[Route]:
    """``/metrics``, all connections."""

    async def metrics(request: Request) -> Response:
        who = allowed(request, Role.VIEWER)
        return Response(await heavy.ask(request, replace(deps, who=who), exposition), media_type=CONTENT_TYPE)

    return [Route("/metrics", metrics)]


def exposition(deps: Deps) -> str:
    """Every sample in Prometheus' text format; a family without samples is not named."""
    by_family: dict[str, list[Sample]] = {}
    for sample in samples(deps):
        if not deps.who.sees(sample.labels.get("connection")):
            continue
        by_family.setdefault(sample.family, []).append(sample)
    return "".join(f"{line}\n" for name in FAMILIES if name in by_family for line in _lines(name, by_family[name]))


def _lines(name: str, found: list[Sample]) -> Iterator[str]:
    family = FAMILIES[name]
    yield f"# HELP {name} {family.help}"
    yield f"# TYPE {name} {family.kind}"
    for sample in found:
        labels = ",".join(f'{label}="{_escaped(value)}"' for label, value in sample.labels.items())
        yield f"{name}{sample.suffix}{{{labels}}} {sample.value!r}"


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")
