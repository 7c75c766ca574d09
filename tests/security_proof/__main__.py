"""``python -m tests.security_proof [--row WORDS] [--hands 2]``: takes away each guard that SECURITY.md's table names, one at
a time in a copy of the source, and expects that row's tests to fail. Exits with 1 when one of them stays green.
"""

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue

from tests.security_proof import mutations, policy
from tests.security_proof.mutation import Mutation
from tests.security_proof.policy import Row
from tests.security_proof.trial import Tree, Verdict


def main() -> None:
    """Every row, or those whose threat has these words."""
    chosen = _options()
    began = time.monotonic()
    rows = [row for row in policy.rows() if chosen.row.lower() in row.threat.lower()]
    with tempfile.TemporaryDirectory(prefix="tallyhook-security-") as folder:
        trees = [Tree(Path(folder) / str(hand)) for hand in range(chosen.hands)]
        result = trees[0].trouble_with([test for row in rows for one in mutations.of(row) for test in one.tests])
        if result is not None:
            sys.exit(f"{result}\nwith every guard in place the tests fail already: nothing can be proven so")
        verdicts = [verdict for row in rows for verdict in _prove(row, trees)]
    missed = [verdict for verdict in verdicts if not verdict.noticed]
    minutes = (time.monotonic() - began) / 60
    print(
        f"\n{len(rows)} rows, {len(verdicts)} guards taken away, {len(missed)} of them unnoticed; {minutes:.1f} minutes"
    )
    sys.exit(1 if missed or not verdicts else 0)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--row", default="", help="only rows whose threat has these words")
    parser.add_argument("--hands", type=int, default=os.cpu_count() or 1, help="guards taken away at once")
    return parser.parse_args()


def _prove(row: Row, trees: Sequence[Tree]) -> list[Verdict]:
    """Each guard of a row, printed as a part of the table."""
    free: SimpleQueue[Tree] = SimpleQueue()
    for tree in trees:
        free.put(tree)

    def try_(mutation: Mutation) -> Verdict:
        tree = free.get()
        try:
            return tree.try_(mutation)
        finally:
            free.put(tree)

    print(f"\n{row.threat}")
    verdicts = []
    with ThreadPoolExecutor(len(trees)) as hands:
        for verdict in hands.map(try_, mutations.of(row)):
            verdicts.append(verdict)
            print(f"  {verdict.mutation.guard:48}{verdict.seconds:6.1f} s  {verdict.said}", flush=True)
    return verdicts


if __name__ == "__main__":
    main()
