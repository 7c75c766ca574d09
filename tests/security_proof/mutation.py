"""What a mutation is: a guard of ours, and the text of the source whose replacement takes it away."""

from typing import NamedTuple


class Mutation(NamedTuple):
    """``text`` stands exactly once in ``file``; with ``instead`` in its place the guard is gone, and one of ``tests``
    (as pytest names them) must fail. ``threat`` is the first column of SECURITY.md's table."""

    threat: str
    guard: str
    file: str
    text: str
    instead: str
    tests: tuple[str, ...]
