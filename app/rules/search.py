"""What a search means: which entries its words match, with typing errors too, and which come first."""

import re
import unicodedata
from collections.abc import Sequence
from difflib import SequenceMatcher
from typing import NamedTuple

SHORTEST_PART = 3
"""Fewer characters than a trigram cannot be looked up."""

SHORTEST_MISTYPED = 5
"""In shorter words every second word would be a near one."""

LONGEST_MISTYPED = 40
"""In longer words, typing errors would cost too much time."""

MOST_MISTYPED = 4
"""Who mistypes more words of a query finds nothing."""

LONGEST_QUERY = 200

_ACCENTS = re.compile("[\u0300-\u036f]")
_RUNS = re.compile(r"[^\W_]+")
_PIECES = re.compile(r"\d+|[^\W\d_]+")
_BLANKS = "  "
_WITHOUT_BLANKS = "\u2e80"
"""The first character of Chinese, Japanese and Korean writing."""


class Texts(NamedTuple):
    """What an item is called."""

    numbers: tuple[str, ...]
    """SKU, barcode, supplier SKU and external id, folded; so is the name."""
    name: str


def fold(text: str) -> str:
    """A text in the spelling that is compared: without case and accents, one blank between words.

    Only the accents of alphabets like Latin are removed: in other scripts, marks are letters.
    """
    if not text.isascii():
        whole = text.encode("utf-8", "replace").decode()
        letters = unicodedata.normalize("NFKD", whole.casefold())
        text = unicodedata.normalize("NFKC", _ACCENTS.sub("", letters)).casefold()
    return " ".join(text.lower().split())


def words_of(query: str) -> list[str]:
    """The folded words of a query, each once; those without a letter or digit only if there are no others."""
    words = list(dict.fromkeys(fold(query[:LONGEST_QUERY]).split()))
    return [word for word in words if _RUNS.search(word)] or words


def gram_text(texts: Sequence[str]) -> str:
    """The text whose trigrams are indexed: all words of these folded texts, and how the pieces of words begin.

    Two blanks before each of them make a trigram of a beginning of one or two characters. Scripts without blanks between
    words have a beginning at every character.
    """
    words = dict.fromkeys(word for text in texts for word in text.split())
    beginnings = dict.fromkeys(
        piece[at : at + 2] for word in words for piece in pieces(word) for at in _starts(piece)
    )
    return "".join(_BLANKS + one for one in (*words, *beginnings))


def pieces(word: str) -> list[str]:
    """The parts of a word between its punctuation, and between its letters and digits."""
    runs = _RUNS.findall(word)
    return list(dict.fromkeys([*runs, *(piece for run in runs for piece in _PIECES.findall(run))]))


def looked_up(word: str) -> list[str]:
    """What a text that matches this word of a query has in its ``gram_text``; short words have to begin a piece."""
    if len(word) >= SHORTEST_PART:
        return [word]
    return [(_BLANKS + run)[-SHORTEST_PART:] for run in _RUNS.findall(word)]


def _starts(piece: str) -> range:
    return range(len(piece) if piece[0] >= _WITHOUT_BLANKS else 1)


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
    beginnings = [one for word in everything.split() for one in (word, *pieces(word))]
    return 3 if all(any(one.startswith(word) for one in beginnings) for word in words) else 4


def near(texts: Texts, words: Sequence[str]) -> float | None:
    """How similar an item is to mistyped words, 1.0 for equal ones; ``None`` if one of them is like no word of the item, or
    too many are not in it as they are."""
    everything = " ".join((*texts.numbers, texts.name))
    mistyped = [word for word in words if word not in everything]
    if len(mistyped) > MOST_MISTYPED or not words:
        return None
    those = dict.fromkeys(everything.split())
    whole = float(len(words) - len(mistyped))
    for word in mistyped:
        likeness = max((_likeness(word, one) for one in those), default=0.0)
        if likeness == 0:
            return None
        whole += likeness
    return whole / len(words)


def _likeness(word: str, other: str) -> float:
    """The similarity of two words, 0 where more than one typing error (two in a long word) lies between them. What costs
    little is looked at first: each error makes one letter strange at most."""
    allowed = 1 if len(word) < 9 else 2
    if not SHORTEST_MISTYPED <= len(word) <= LONGEST_MISTYPED or abs(len(word) - len(other)) > allowed:
        return 0.0
    if len(set(word) - set(other)) > allowed or distance(word, other, allowed) > allowed:
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
