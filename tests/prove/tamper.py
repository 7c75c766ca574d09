"""Takes guards away, in the process of a simulation only; complains when a guard is not where it was looked for."""

from typing import Any


def swap(module: Any, name: str, old: str, new: str) -> None:
    """A text constant of a module, or of a ``Statement`` in it, with one part replaced."""
    value = getattr(module, name)
    if isinstance(value, str):
        setattr(module, name, _swapped(value, old, new))
        return
    for attribute in ("_sqlite", "_postgresql"):
        text = getattr(value, attribute)
        if old in text or attribute == "_sqlite":
            setattr(value, attribute, _swapped(text, old, new))


def _swapped(text: str, old: str, new: str) -> str:
    if old not in text:
        raise LookupError(f"the guard is not there: {old!r}")
    return text.replace(old, new)


def replace(module: Any, name: str, value: Any) -> Any:
    """An attribute that must exist; returns what it was."""
    before = getattr(module, name)
    setattr(module, name, value)
    return before
