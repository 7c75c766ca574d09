"""``/metrics``: the figures of every connection in Prometheus' format; counters begin with the installation."""

from collections.abc import Iterator, Mapping
from dataclasses import replace

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from app.domain import Role
from app.flows.deps import Deps
from app.flows.reports.samples import Sample, samples
from app.web.callers import require_role
from app.web.heavy import HeavyReads

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


FAMILIES: Mapping[str, str] = {
    "tallyhook_connection_state": "1 for the state that the connection is in, 0 for the others.",
    "tallyhook_forbidden_kinds": (
        "1 for a kind that is left out because it is not allowed or not answered; absent for the others."
    ),
    "tallyhook_runs_total": "Bulk runs ever started, by strategy and status; active ones included.",
    "tallyhook_api_calls_total": "Calls to the source, by purpose; covers at least a year.",
    "tallyhook_run_api_calls_total": "Calls to the source that runs made.",
    "tallyhook_recent_run_success_ratio": "Share of completed runs among those of 7 days that ended by themselves.",
    "tallyhook_recent_run_seconds": "How long the completed runs of 7 days took, by quantile.",
    "tallyhook_recent_run_items": "Records that the finished runs of 7 days processed.",
    "tallyhook_recent_run_items_failed": "Records that the finished runs of 7 days could not sync.",
    "tallyhook_recent_run_items_per_second": "How fast the finished runs of 7 days were.",
    "tallyhook_items_settled_total": "Owed items settled, by kind and outcome.",
    "tallyhook_changes_settled_total": "Changes of the settled items, by kind and outcome.",
    "tallyhook_visible_seconds": "Seconds from the first notice of a change until our row equals the source's.",
    "tallyhook_owed_items": "Items with changes that are not settled yet.",
    "tallyhook_oldest_owed_seconds": "Age of the oldest change that is not settled; absent if nothing is owed.",
    "tallyhook_agreement_ratio": "Share of rows that the latest complete read found right.",
    "tallyhook_agreement_timestamp_seconds": "When that read ended.",
    "tallyhook_spot_checks": "Random rows compared with the source since the latest complete read.",
    "tallyhook_agreement_low_ratio": "Lower end of the share of right rows since then, 95 % confidence.",
    "tallyhook_agreement_high_ratio": "Upper end of that share.",
    "tallyhook_budget_calls": "Calls that a window of the API budget holds.",
    "tallyhook_budget_seconds": "How long that window is.",
    "tallyhook_budget_used_calls": "Calls of that window used now, by lane.",
    "tallyhook_failed_items": "Items that runs could not sync and that were not synced since, by category.",
    "tallyhook_dead_letters": "Dead letters about items that wait for a person.",
    "tallyhook_open_holds": "Batches that the guard holds for a person, by kind; absent for none.",
    "tallyhook_open_alerts": "Open alerts, by severity; those without a connection are about the whole installation.",
    "tallyhook_failed_tries": "Failed tries of the items owed now; absent for none.",
    "tallyhook_active_replays": "Replays that have not ended.",
    "tallyhook_processes": "Processes that gave a sign of life within 30 seconds, by role.",
}
"""What the samples of each name are."""


def metrics_routes(deps: Deps, heavy: HeavyReads) -> list[Route]:
    """``/metrics``, all connections."""

    async def metrics(request: Request) -> Response:
        principal = require_role(request, Role.VIEWER)
        return Response(
            await heavy.ask(request, replace(deps, principal=principal), exposition), media_type=CONTENT_TYPE
        )

    return [Route("/metrics", metrics)]


def exposition(deps: Deps) -> str:
    """Every sample in Prometheus' text format; a family without samples is left out."""
    by_family: dict[str, list[Sample]] = {}
    for sample in samples(deps):
        if not deps.principal.can_see(sample.labels.get("connection")):
            continue
        by_family.setdefault(sample.family, []).append(sample)
    return "".join(f"{line}\n" for name in FAMILIES if name in by_family for line in _lines(name, by_family[name]))


def _lines(name: str, found: list[Sample]) -> Iterator[str]:
    kind = "histogram" if found[0].suffix else "counter" if name.endswith("_total") else "gauge"
    yield f"# HELP {name} {FAMILIES[name]}"
    yield f"# TYPE {name} {kind}"
    for sample in found:
        labels = ",".join(f'{label}="{_escaped(value)}"' for label, value in sample.labels.items())
        yield f"{name}{sample.suffix}{{{labels}}} {sample.value!r}"


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")
