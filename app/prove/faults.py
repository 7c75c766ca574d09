"""The kinds of faults, each with a dial that the seed sets, and a count of the faults that really happened."""

import random
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field
from enum import StrEnum


class Dial(StrEnum):
    """A kind of fault: its name on the command line, and its meaning for people."""

    meaning: str

    def __new__(cls, name: str, meaning: str = "") -> "Dial":  # ``Dial(name)`` alone finds one
        dial = str.__new__(cls, name)
        dial._value_, dial.meaning = name, meaning
        return dial

    HOOKS_LOST = "hooks-lost", "webhooks that the vendor never sends"
    HOOKS_DOUBLED = "hooks-doubled", "webhooks delivered twice"
    HOOKS_REORDERED = "hooks-reordered", "webhooks that overtake each other"
    HOOKS_LATE = "hooks-late", "webhooks that come hours late"
    HOOKS_FOREIGN = "hooks-foreign", "webhooks about another account, and test events"
    QUEUE_FLUSHED = "queue-flushed", "the queue emptied (FLUSHALL), or a message lost"
    QUEUE_DOUBLED = "queue-doubled", "messages handed out twice"
    QUEUE_REORDERED = "queue-reordered", "messages handed out in any order"
    KILLED = "killed", "a process killed, before, within or after a commit"
    STOPPED = "stopped", "a process stopped past its lease (SIGSTOP)"
    DEPLOYED = "deployed", "a process stopped gracefully and started again"
    DB_ENDED = "db-ended", "a session ended in the middle of a transaction"
    DB_READ_ONLY = "db-read-only", "the database read-only for a while"
    DB_LOCKED = "db-locked", "the database locked by another program for a while"
    DB_DEADLOCK = "db-deadlock", "a transaction undone by a deadlock"
    DB_SERIALISATION = "db-serialisation", "a transaction undone by a serialisation failure"
    DB_ANSWER_LOST = "db-answer-lost", "a commit that was made and whose answer was lost"
    DB_AWAY = "db-away", "the database away for a while"
    CLOCK_SKEWED = "clock-skewed", "a host whose clock is off"
    CLOCK_JUMPS = "clock-jumps", "a host whose clock jumps"
    BAD_RECORDS = "bad-records", "records that cannot be read or held"
    FUTURE_RECORDS = "future-records", "records dated in the future"
    VENDOR_EMPTY = "vendor-empty", "answers without a row"
    VENDOR_SHORT = "vendor-short", "answers that lack some rows"
    VENDOR_HTML = "vendor-html", "HTML instead of an answer"
    VENDOR_TRUNCATED = "vendor-truncated", "reads cut off in the middle"
    VENDOR_401 = "vendor-401", "credentials refused for a while"
    VENDOR_403 = "vendor-403", "one kind forbidden for a while"
    VENDOR_429 = "vendor-429", "too many requests"
    VENDOR_5XX = "vendor-5xx", "answers 500 to 504"
    VENDOR_HANGS = "vendor-hangs", "calls that hang until they time out"
    VENDOR_LAGS = "vendor-lags", "single reads that lag behind by some seconds"
    VENDOR_SLOW = "vendor-slow", "calls that take long, so that others overtake them"
    RESUME_LOST = "resume-lost", "a place in a read that the vendor forgot"
    BUDGETS = "budgets", "call budgets that are tight"
    STORMS = "storms", "hundreds of edits at once"
    RUNS = "runs", "bulk runs started by people"
    RUNS_CANCELLED = "runs-cancelled", "runs cancelled"
    RUNS_RESUMED = "runs-resumed", "runs resumed"
    DRY_RUNS = "dry-runs", "dry runs"
    REPLAYS = "replays", "dead letters and deliveries replayed"
    CREDENTIALS_CHANGED = "credentials-changed", "credentials changed, and every process deployed anew with them"


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
    rng = random.Random(f"dials {seed}")
    mood = rng.random()
    likely = 0.0 if mood < 0.06 else 1.0 if mood > 0.94 else LIKELY
    on: dict[Dial, float] = {}
    for dial in Dial:  # every dial draws, so that leaving one out changes no other
        is_on, strength = rng.random() < likely, rng.uniform(0.2, 1.0)
        if (is_on or all_on) and dial in allowed:
            on[dial] = strength
    return Faults(on, random.Random(f"faults {seed}"))
