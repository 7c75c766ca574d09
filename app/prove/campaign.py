"""Simulates many seeds in processes of their own, counts the outcomes, and reduces failing seeds to few dials."""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from queue import SimpleQueue

from app.prove.faults import Dial
from app.prove.hand import Hand
from app.prove.simulate import Outcome

MOST_FINDINGS = 5
"""How many failing seeds are reduced; of the others only the findings are shown."""


@dataclass
class Tally:
    """The totals of a campaign."""

    runs: int = 0
    seen: Counter[str] = field(default_factory=Counter)
    counts: Counter[str] = field(default_factory=Counter)
    failing: list[Outcome] = field(default_factory=list)

    def add(self, outcome: Outcome) -> None:
        """Count one more seed."""
        self.runs += 1
        self.seen.update(outcome.seen)
        self.counts.update(outcome.counts)
        if outcome.findings:
            self.failing.append(outcome)


def campaign(
    seeds: Iterable[int],
    hands: Sequence[Hand],
    dials: Collection[Dial],
    done: Callable[[Outcome], None],
    *,
    all_on: bool = False,
) -> Tally:
    """Simulate the seeds, as many at a time as there are hands; ``done`` is called with each outcome."""
    tally = Tally()
    free: SimpleQueue[Hand] = SimpleQueue()
    for hand in hands:
        free.put(hand)

    with ThreadPoolExecutor(len(hands)) as pool:
        for outcome in pool.map(lambda seed: _by_free_hand(free, seed, dials, all_on=all_on), seeds):
            tally.add(outcome)
            done(outcome)
    return tally


def _by_free_hand(free: SimpleQueue[Hand], seed: int, dials: Collection[Dial], *, all_on: bool) -> Outcome:
    hand = free.get()
    try:
        return hand.carry_out(seed, dials, all_on=all_on)
    finally:
        free.put(hand)


def smaller(outcome: Outcome, hand: Hand) -> Outcome:
    """The same seed with as few dials as still lead to a finding: dials are left out one after the other."""
    dials = {Dial(name) for name in outcome.on}
    best = outcome
    for dial in sorted(dials):
        tried = hand.carry_out(outcome.seed, dials - {dial}, all_on=True)
        if tried.findings:
            dials -= {dial}
            best = tried
    return best
