"""The report of a campaign for a sceptic: what was injected and how often, what was checked, and the findings."""

from collections.abc import Collection, Iterator, Sequence

from rich.table import Table

from app.prove.campaign import Tally
from app.prove.faults import Dial
from app.prove.simulate import Outcome

CHECKED = (
    "Settled means right: what was announced and is owed no longer was as at the source, before any complete read.",
    "Every table equals its source, but for records that are bad and listed as failed items.",
    "Nothing acknowledged is lost: each acknowledged delivery is stored, and its items were looked at.",
    "Nothing is doubled: no delivery and no difference is there twice.",
    "Nothing is owed, no run or replay is active: everything comes to rest.",
    "No dead letter and no failed run, but for what a person must see to.",
    "Agreement reported is agreement measured.",
    "No call budget was exceeded, no vendor was called inside a transaction, no thread died.",
    "No kind was emptied by an answer without rows.",
)


def injected(tally: Tally, dials: Collection[Dial]) -> Table:
    """How often each fault really happened."""
    table = Table("fault", "happened", title="What was injected", title_justify="left")
    for dial in Dial:
        if dial in dials:
            table.add_row(dial.meaning, f"{tally.seen[dial]:,}")
    return table


def measured(tally: Tally) -> str:
    """The totals of all seeds."""
    counts = ", ".join(f"{count:,} {what}" for what, count in tally.counts.items())
    return f"{tally.runs:,} seeds: {counts}."


def checked() -> Iterator[str]:
    """The claims, one per line."""
    yield "What was checked after each seed's quiet:"
    yield from (f"  - {claim}" for claim in CHECKED)


def found(outcome: Outcome, *, smallest: bool) -> Iterator[str]:
    """One failing seed: the findings, the command that repeats it, and the last events that they are about."""
    yield f"Seed {outcome.seed}: {len(outcome.findings)} finding(s)"
    yield from (f"  ! {words}" for words in outcome.findings[:8])
    dials = ",".join(outcome.on) or "none"
    yield f"  faults {'that are needed' if smallest else 'turned on'}: {dials}"
    yield f"  repeat: tallyhook prove --seed {outcome.seed} --faults {dials}"
    if smallest:
        yield "  the last events that concern it (virtual seconds, process, event, ids):"
        yield from (f"    {line}" for line in outcome.trace)


def summary(tally: Tally, rounds: int, broken: Sequence[str]) -> str:
    """The verdict in one line."""
    real = f" and {rounds} rounds of real processes" if rounds else ""
    if not tally.failing and not broken:
        return f"Nothing was found in {tally.runs:,} seeds{real}."
    return f"{len(tally.failing)} of {tally.runs:,} seeds{real} found something ({len(broken)} findings in rounds)."
