"""The operations about dead letters that only look."""

from __future__ import annotations

from typing import Any

from app.web.api import letters
from app.web.api.operation import Operation

BASE = "/api/dead-letters"

OPERATIONS: tuple[Operation, ...] = (
    Operation(
        "GET",
        BASE,
        "Dead letters that a filter matches",
        letters.list_letters,
        letters.Letters,
        "a page, and totals",
        letters.LetterPage,
        errors=(422,),
        heavy=True,
    ),
    Operation(
        "GET",
        BASE + "/groups",
        "Dead letters by cause or by item",
        letters.group_letters,
        letters.Groups,
        "groups, the largest first",
        letters.LetterGroups,
        errors=(422,),
        heavy=True,
    ),
    Operation(
        "GET",
        BASE + "/{id:int}",
        "Everything about one dead letter",
        letters.show_letter,
        dict[str, Any],
        "the letter with its attempts, and the outcomes of its item since",
        letters.OfLetter,
    ),
)
