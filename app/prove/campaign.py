"""Many seeds: carried out by processes of their own, counted, and a failing one made smaller until it is to the point."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from queue import SimpleQueue

import msgspec

from app.prove.faults import Dial
from app.prove.host import Task
from app.prove.simulate import Outcome

MOST_FINDINGS = 5
"""Failing seeds that are made smaller; of the others only the findings are shown."""


class Hand:
    """One process that carries out seeds (``app.prove.host``). ``before`` is code that it runs first, for mutants."""

    def __init__(self, url: str = "", before: str = "") -> None:
        self._url = url
        program = ["-c", f"{before}\nfrom app.prove.host import main\nmain()"] if before else ["-m", "app.prove.host"]
        self._process = subprocess.Popen(  # noqa: S603
            [sys.executable, *program],
            env={**os.environ, "PYTHONHASHSEED": "0"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def carry_out(self, seed: int, dials: Collection[Dial]) -> Outcome:
        """One seed with these dials allowed."""
        task = Task(seed, self._url, sorted(dials))
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(msgspec.json.encode(task).decode() + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        if not answer:
            raise RuntimeError("the simulation's process has ended; see standard error")
        return msgspec.json.decode(answer, type=Outcome)

    def close(self) -> None:
        """End it."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(30)
        self._process.stdout.close()


@dataclass
class Tally:
    """What a campaign came to."""

    runs: int = 0
    seen: Counter[str] = field(default_factory=Counter)
    counts: Counter[str] = field(default_factory=Counter)
    failing: list[Outcome] = field(default_factory=list)

    def add(self, outcome: Outcome) -> None:
        """One seed more."""
        self.runs += 1
        self.seen.update(outcome.seen)
        self.counts.update(outcome.counts)
        if outcome.findings:
            self.failing.append(outcome)


def campaign(
    seeds: Iterable[int], hands: Sequence[Hand], dials: Collection[Dial], done: Callable[[Outcome], None]
) -> Tally:
    """Carry out the seeds, as many at a time as there are hands; ``done`` is called with each outcome."""
    tally = Tally()
    free: SimpleQueue[Hand] = SimpleQueue()
    for hand in hands:
        free.put(hand)

    def one(seed: int) -> Outcome:
        hand = free.get()
        try:
            return hand.carry_out(seed, dials)
        finally:
            free.put(hand)

    with ThreadPoolExecutor(len(hands)) as pool:
        for outcome in pool.map(one, seeds):
            tally.add(outcome)
            done(outcome)
    return tally


def smaller(outcome: Outcome, hand: Hand) -> Outcome:
    """The same seed with as few dials as still lead to a finding: one after the other is left out for good if it can."""
    dials = {Dial(name) for name in outcome.on}
    best = outcome
    for dial in sorted(dials):
        tried = hand.carry_out(outcome.seed, dials - {dial})
        if tried.findings:
            dials -= {dial}
            best = tried
    return best
