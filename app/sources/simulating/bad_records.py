"""Makes some records of a simulated vendor unreadable; a record's id decides whether and how, so the choice is
stable.

Any field, also a nested one, can become any value that some vendor was seen to send: null, an empty or a foreign
text, a text that no database holds, a number that no column holds, a list or an object in place of a value.
"""

from collections.abc import Mapping
from copy import deepcopy
from random import Random
from typing import Any

from app.sources.simulating.answers import Json

NO_ID: tuple[Any, ...] = (None, "", 99_999_999_999_999_999_999, -7.5, True, [], {})
WRONG: tuple[Any, ...] = (*NO_ID, "nonsense", "nul \x00 inside")
KEYS = ("id", "url", "state")
"""Endings of names that identify a record: another text there would make another record, not a bad one."""


def with_bad_fields(body: Json, share: float, salt: object) -> Json:
    """A document in which a share of the records is bad: its top-level objects, and the objects in its top-level
    lists."""
    return {name: with_bad_records(value, share, salt) for name, value in body.items()}


def with_bad_records(value: Any, share: float, salt: object) -> Any:
    """A list in which a share of the objects is bad; an object is one record, and any other value stays."""
    if isinstance(value, list):
        return [with_bad_record(one, share, salt) if isinstance(one, dict) else one for one in value]
    return with_bad_record(value, share, salt) if isinstance(value, dict) else value


def with_bad_cells(columns: Json, share: float, salt: object) -> Json:
    """A document of equally long columns in which a share of the rows is bad."""
    spoiled: Json = {name: list(cells) for name, cells in columns.items()}
    for row in range(min(map(len, spoiled.values()), default=0)):
        record = {name: cells[row] for name, cells in spoiled.items()}
        for name, cell in with_bad_record(record, share, salt).items():
            spoiled[name][row] = cell
    return spoiled


def with_bad_record(record: Json, share: float, salt: object) -> Json:
    """The record, or a copy with one wrong field."""
    dice = Random(f"{salt}/{_identity(record)}")
    return _spoiled(record, dice) if record and dice.random() < share else record


def _identity(record: Mapping[str, Any]) -> str:
    """What distinguishes a record and does not change with it."""
    names = [name for name in sorted(record) if name.lower().endswith(KEYS)]
    return "/".join(str(record[name]) for name in names if isinstance(record[name], str))


def _spoiled(record: Json, dice: Random) -> Json:
    """A copy with one field wrong; objects inside are entered half of the time."""
    copy = deepcopy(record)
    here: Any = copy
    while True:
        name = dice.choice(sorted(here) if isinstance(here, dict) else range(len(here)))
        if not (isinstance(here[name], dict | list) and here[name] and dice.random() < 0.5):
            wrong = NO_ID if str(name).lower().endswith(KEYS) else WRONG
            here[name] = dice.choice([value for value in wrong if value != here[name]])
            return copy
        here = here[name]
