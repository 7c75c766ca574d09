"""Suggests the known word that somebody may have meant by an unknown one."""

from collections.abc import Iterable
from difflib import get_close_matches


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The known word most similar to this one; ``None`` if none is similar."""
    by_lower = {candidate.lower(): candidate for candidate in known}
    matches = get_close_matches(word.lower(), by_lower, n=1, cutoff=0.6)
    return by_lower[matches[0]] if matches else None


def unknown(what: str, word: str, known: Iterable[str]) -> str:
    """A message for people: the word is unknown, which word was probably meant, and which words exist."""
    known = sorted(known)
    meant = nearest(word, known)
    guess = f"did you mean {meant}? " if meant is not None else ""
    return f"no {what} {word!r}; {guess}use one of: {', '.join(known) or 'none'}"
