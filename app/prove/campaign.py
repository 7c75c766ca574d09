"""Simulates many seeds, each in a child process of its own, counts the outcomes, and reduces failing seeds to few dials."""

import faulthandler
import os
import traceback
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple

import msgspec

from app.domain.decoding import decode
from app.prove.crew import Attempt, Crew
from app.prove.databases import EMPTY, Databases
from app.prove.faults import Dial
from app.prove.simulate import Outcome, simulate

MOST_FINDINGS = 5
"""How many failing seeds are reduced; of the others only the findings are shown."""

PATIENCE = 600
"""Real seconds after which a seed counts as stuck; the process then prints where."""


class Trial(NamedTuple):
    """One seed. ``dials`` are allowed, with ``all_on`` they are all on. ``hasty`` ends at the first finding."""

    seed: int
    dials: Collection[Dial]
    all_on: bool = False
    hasty: bool = False


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


def smaller(outcome: Outcome, crew: Crew[Trial, Outcome]) -> Outcome:
    """The same seed with as few dials as still lead to a finding: dials are left out one after the other."""
    dials = {Dial(name) for name in outcome.on}
    best = outcome
    for dial in sorted(dials):
        tried = crew.attempt(Trial(outcome.seed, dials - {dial}, all_on=True))
        if tried.findings:
            dials -= {dial}
            best = tried
    return best


# in a process of the crew


def simulations(databases: Databases) -> Attempt[Trial, Outcome]:
    """What a process of the crew does with a trial."""
    return partial(_in_child, databases)


def _in_child(databases: Databases, trial: Trial) -> Outcome:
    """Simulate a seed in a child process; a crash of the child is a finding."""
    url = databases.copy(EMPTY, "seed")
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.close(reader)
            with os.fdopen(writer, "wb") as out:
                out.write(msgspec.json.encode(_here(trial, url)))
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(0)  # whatever happens: the databases and the pipes are the parent's
    os.close(writer)
    with os.fdopen(reader, "rb") as result:
        answer = result.read()
    _, status = os.waitpid(child, 0)
    if not answer:
        return Outcome(trial.seed, [f"the simulation itself broke off (status {status}); see standard error"])
    return decode(answer, Outcome)


def _here(trial: Trial, url: str) -> Outcome:
    """Simulate a seed in this process, which cannot be used for anything else after that."""
    faulthandler.dump_traceback_later(PATIENCE, exit=True)
    try:
        return simulate(trial.seed, url, trial.dials, all_on=trial.all_on, hasty=trial.hasty)
    except BaseException:
        return Outcome(trial.seed, ["the simulation itself failed: " + traceback.format_exc()[-1500:]])
