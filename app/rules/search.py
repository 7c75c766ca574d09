"""What a search means: which entries its words match, with typing errors too, and which come first."""

from collections.abc import Sequence
from difflib import SequenceMatcher
from typing import NamedTuple

SHORTEST_PART = 3
"""Fewer characters than a trigram cannot be looked up."""

SHORTEST_MISTYPED = 5
"""In shorter words every second word would be a near one."""

LONGEST_QUERY = 200


class Texts(NamedTuple):
    """What an item is called."""

    numbers: tuple[str, ...]
    """SKU, barcode, supplier SKU and external id, in lower case."""
    name: str


def words_of(query: str) -> list[str]:
    """The words of a query, in lower case, each once."""
    return list(dict.fromkeys(query[:LONGEST_QUERY].casefold().split()))


def parts_of(word: str) -> list[str]:
    """Parts of which a word with one typing error still has one: its halves (pigeonhole principle). None for short words."""
    if len(word) < SHORTEST_MISTYPED:
        return []
    half = max(SHORTEST_PART, len(word) // 2)
    return [word[:half], word[-half:]]


def rank(texts: Texts, words: Sequence[str]) -> int | None:
    """How well an item matches, the lowest number best; ``None`` if a word is nowhere in it.

    A number that equals the whole query comes first, then a number that begins with it, a name that begins with it, words
    that begin with the query's words, then parts of words.
    """
    query = " ".join(words)
    if query in texts.numbers:
        return 0
    if any(number.startswith(query) for number in texts.numbers):
        return 1
    if texts.name.startswith(query):
        return 2
    everything = " ".join((*texts.numbers, texts.name))
    if not all(word in everything for word in words):
        return None
    beginnings = everything.replace("-", " ").replace("/", " ").split()
    return 3 if all(any(one.startswith(word) for one in beginnings) for word in words) else 4


def near(texts: Texts, words: Sequence[str]) -> float | None:
    """How similar an item is to mistyped words, 1.0 for equal ones; ``None`` if one of them is like no word of the item."""
    those = [*texts.numbers, *texts.name.split()]
    likeness = [max((_likeness(word, one) for one in those), default=0.0) for word in words]
    return sum(likeness) / len(likeness) if likeness and min(likeness) > 0 else None


def _likeness(word: str, other: str) -> float:
    """The similarity of two words, 0 where more than one typing error (two in a long word) lies between them."""
    if word in other:
        return 1.0
    if len(word) < SHORTEST_MISTYPED:
        return 0.0
    allowed = 1 if len(word) < 9 else 2
    if abs(len(word) - len(other)) > allowed or distance(word, other, allowed) > allowed:
        return 0.0
    return SequenceMatcher(None, word, other, autojunk=False).ratio()


def distance(one: str, other: str, enough: int) -> int:
    """How many typing errors (a letter changed, missing, too many, or two swapped) lie between two words; a number above
    ``enough`` only says that it is more. Optimal string alignment, by rows."""
    before, last = list[int](), list(range(len(other) + 1))
    for place, letter in enumerate(one, 1):
        row = [place]
        for at, theirs in enumerate(other, 1):
            cost = min(last[at] + 1, row[at - 1] + 1, last[at - 1] + (letter != theirs))
            if place > 1 and at > 1 and letter == other[at - 2] and one[place - 2] == theirs:
                cost = min(cost, before[at - 2] + 1)
            row.append(cost)
        if min(row) > enough:
            return enough + 1
        before, last = last, row
    return last[-1]
