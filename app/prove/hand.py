"""The parent's side of ``app.prove.host``: starts the process, sends it seeds and reads their outcomes."""

import os
import subprocess
import sys
from collections.abc import Collection
from typing import IO, cast

import msgspec

from app.domain.decoding import decode
from app.prove.faults import Dial
from app.prove.host import Task
from app.prove.simulate import Outcome


class Hand:
    """One process that simulates seeds. ``before`` is Python that it runs first, for example to remove a guard."""

    def __init__(self, url: str = "", before: str = "") -> None:
        self._url = url
        code = ["-c", f"{before}\nfrom app.prove.host import main\nmain()"] if before else ["-m", "app.prove.host"]
        self._process = subprocess.Popen(  # noqa: S603
            [sys.executable, *code],
            env={**os.environ, "PYTHONHASHSEED": "0"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._to = cast(IO[str], self._process.stdin)
        self._from = cast(IO[str], self._process.stdout)

    def carry_out(self, seed: int, dials: Collection[Dial], *, all_on: bool = False, hasty: bool = False) -> Outcome:
        """Simulate a seed with these dials allowed, or with all of them on; ``hasty`` ends at the first finding.

        Raises ``RuntimeError`` when the process is gone.
        """
        self._to.write(msgspec.json.encode(Task(seed, self._url, sorted(dials), all_on, hasty)).decode() + "\n")
        self._to.flush()
        answer = self._from.readline()
        if not answer:
            raise RuntimeError("the process that simulates has ended; standard error says why")
        return decode(answer, Outcome)

    def close(self) -> None:
        """End the process."""
        self._to.close()
        self._process.wait(150)
        self._from.close()
