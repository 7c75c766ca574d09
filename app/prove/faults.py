"""The kinds of faults, each with a dial that the seed sets, and a count of the faults that really happened."""

import random
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field
from enum import StrEnum


class Dial(StrEnum):
    """A kind of fault. The value is its name on the command line."""

    HOOKS_LOST = "hooks-lost"
    HOOKS_DOUBLED = "hooks-doubled"
    HOOKS_REORDERED = "hooks-reordered"
    HOOKS_LATE = "hooks-late"
    HOOKS_FOREIGN = "hooks-foreign"
    QUEUE_FLUSHED = "queue-flushed"
    QUEUE_DOUBLED = "queue-doubled"
    QUEUE_REORDERED = "queue-reordered"
    KILLED = "killed"
    STOPPED = "stopped"
    DEPLOYED = "deployed"
    DB_ENDED = "db-ended"
    DB_READ_ONLY = "db-read-only"
    DB_LOCKED = "db-locked"
    DB_DEADLOCK = "db-deadlock"
    DB_SERIALISATION = "db-serialisation"
    DB_ANSWER_LOST = "db-answer-lost"
    DB_AWAY = "db-away"
    CLOCK_SKEWED = "clock-skewed"
    CLOCK_JUMPS = "clock-jumps"
    BAD_RECORDS = "bad-records"
    FUTURE_RECORDS = "future-records"
    VENDOR_EMPTY = "vendor-empty"
    VENDOR_SHORT = "vendor-short"
    VENDOR_HTML = "vendor-html"
    VENDOR_TRUNCATED = "vendor-truncated"
    VENDOR_401 = "vendor-401"
    VENDOR_403 = "vendor-403"
    VENDOR_429 = "vendor-429"
    VENDOR_5XX = "vendor-5xx"
    VENDOR_HANGS = "vendor-hangs"
    VENDOR_LAGS = "vendor-lags"
    VENDOR_SLOW = "vendor-slow"
    RESUME_LOST = "resume-lost"
    BUDGETS = "budgets"
    STORMS = "storms"
    RUNS = "runs"
    RUNS_CANCELLED = "runs-cancelled"
    RUNS_RESUMED = "runs-resumed"
    DRY_RUNS = "dry-runs"
    REPLAYS = "replays"
    CREDENTIALS_CHANGED = "credentials-changed"


MEANING: dict[Dial, str] = {
    Dial.HOOKS_LOST: "webhooks that the vendor never sends",
    Dial.HOOKS_DOUBLED: "webhooks delivered twice",
    Dial.HOOKS_REORDERED: "webhooks that overtake each other",
    Dial.HOOKS_LATE: "webhooks that come hours late",
    Dial.HOOKS_FOREIGN: "webhooks about another account, and test events",
    Dial.QUEUE_FLUSHED: "the queue emptied (FLUSHALL), or a message lost",
    Dial.QUEUE_DOUBLED: "messages handed out twice",
    Dial.QUEUE_REORDERED: "messages handed out in any order",
    Dial.KILLED: "a process killed, before, within or after a commit",
    Dial.STOPPED: "a process stopped past its lease (SIGSTOP)",
    Dial.DEPLOYED: "a process stopped gracefully and started again",
    Dial.DB_ENDED: "a session ended in the middle of a transaction",
    Dial.DB_READ_ONLY: "the database read-only for a while",
    Dial.DB_LOCKED: "the database locked by another program for a while",
    Dial.DB_DEADLOCK: "a transaction undone by a deadlock",
    Dial.DB_SERIALISATION: "a transaction undone by a serialisation failure",
    Dial.DB_ANSWER_LOST: "a commit that was made and whose answer was lost",
    Dial.DB_AWAY: "the database away for a while",
    Dial.CLOCK_SKEWED: "a host whose clock is off",
    Dial.CLOCK_JUMPS: "a host whose clock jumps",
    Dial.BAD_RECORDS: "records that cannot be read or held",
    Dial.FUTURE_RECORDS: "records dated in the future",
    Dial.VENDOR_EMPTY: "answers without a row",
    Dial.VENDOR_SHORT: "answers that lack some rows",
    Dial.VENDOR_HTML: "HTML instead of an answer",
    Dial.VENDOR_TRUNCATED: "reads cut off in the middle",
    Dial.VENDOR_401: "credentials refused for a while",
    Dial.VENDOR_403: "one kind forbidden for a while",
    Dial.VENDOR_429: "too many requests",
    Dial.VENDOR_5XX: "answers 500 to 504",
    Dial.VENDOR_HANGS: "calls that hang until they time out",
    Dial.VENDOR_LAGS: "single reads that lag behind by some seconds",
    Dial.VENDOR_SLOW: "calls that take long, so that others overtake them",
    Dial.RESUME_LOST: "a place in a read that the vendor forgot",
    Dial.BUDGETS: "call budgets that are tight",
    Dial.STORMS: "hundreds of edits at once",
    Dial.RUNS: "bulk runs started by people",
    Dial.RUNS_CANCELLED: "runs cancelled",
    Dial.RUNS_RESUMED: "runs resumed",
    Dial.DRY_RUNS: "dry runs",
    Dial.REPLAYS: "dead letters and deliveries replayed",
    Dial.CREDENTIALS_CHANGED: "credentials changed, and every process deployed anew with them",
}
"""The meaning of each dial, for people."""

BENIGN = frozenset(
    {
        Dial.HOOKS_LOST,
        Dial.HOOKS_DOUBLED,
        Dial.HOOKS_REORDERED,
        Dial.HOOKS_LATE,
        Dial.QUEUE_FLUSHED,
        Dial.QUEUE_DOUBLED,
        Dial.QUEUE_REORDERED,
        Dial.KILLED,
    }
)
"""Loss, repetition and sudden death: the faults that the engine was first built for."""

LIKELY = 0.3
"""The probability that a dial is on: few at once, so that one does not hide another, but every pair meets now and then."""


@dataclass
class Faults:
    """The dials of one seed. ``on`` has a strength for each dial that is on."""

    on: dict[Dial, float]
    rng: random.Random
    seen: Counter[Dial] = field(default_factory=Counter)
    quiet: bool = False
    over: bool = False

    def happens(self, dial: Dial, chance: float) -> bool:
        """Whether it happens now, ``chance`` being the likelihood at full strength; counted if it does."""
        strength = self.on.get(dial)
        if strength is None or self.quiet or self.rng.random() >= chance * strength:
            return False
        self.seen[dial] += 1
        return True

    def has(self, dial: Dial) -> bool:
        """Whether it is turned on in this seed."""
        return dial in self.on


def drawn(seed: int, allowed: Collection[Dial], *, all_on: bool = False) -> Faults:
    """The dials of a seed, out of those allowed; one seed in sixteen has none of them, one in sixteen all.

    How strong a fault is depends on the seed alone: with ``all_on``, those that a seed had on are just as they were.
    """
    rng = random.Random(f"dials {seed}")  # noqa: S311
    mood = rng.random()
    likely = 0.0 if mood < 0.06 else 1.0 if mood > 0.94 else LIKELY
    on: dict[Dial, float] = {}
    for dial in Dial:  # every dial draws, so that leaving one out changes no other
        is_on, strength = rng.random() < likely, rng.uniform(0.2, 1.0)
        if (is_on or all_on) and dial in allowed:
            on[dial] = strength
    return Faults(on, random.Random(f"faults {seed}"))  # noqa: S311
