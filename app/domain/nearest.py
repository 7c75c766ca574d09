"""What somebody may have meant by a word that does not exist."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The known word that this one is most like; ``None`` where none is like it."""
    spelled = {one.lower(): one for one in known}
    found = get_close_matches(word.lower(), spelled, n=1, cutoff=0.6)
    return spelled[found[0]] if found else None


def unknown(what: str, word: str, known: Iterable[str]) -> str:
    """A sentence for people: there is no such word, what was meant, and what there is."""
    known = sorted(known)
    meant = nearest(word, known)
    guess = f"did you mean {meant}? " if meant is not None else ""
    there = f"{'There' if guess else 'there'} {'is' if len(known) == 1 else 'are'}"
    return f"no {what} {word!r}; {guess}{there} {', '.join(known) or 'none'}"
