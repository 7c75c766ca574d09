"""``python -m app.prove.truth``: runs the experiment on truth, and prints how many reasons were right."""

import argparse
import sys
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from statistics import median

from app.prove.crew import Crew
from app.prove.real import databases
from app.prove.truth.experiment import Outcome, Verdict, experiments

WANTED, WANTED_EACH = 0.95, 0.85


def main() -> None:
    """Run the seeds and print the table; exit code 1 where a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=60, help="how many")
    parser.add_argument("--first", type=int, default=0, help="the first one")
    known = (databases.SQLITE, databases.POSTGRESQL)
    parser.add_argument("--database", choices=known, default=known[0], help="files, or a server of the wheel")
    parser.add_argument("--hands", type=int, default=1, help="seeds at a time")
    parser.add_argument("--wrong", action="store_true", help="also print each difference that was reported wrongly")
    args = parser.parse_args()
    with databases.server(args.database) as url, closing(Crew(experiments, hands=args.hands, url=url)) as crew:
        outcomes = list(crew.outcomes(range(args.first, args.first + args.seeds)))
    if args.wrong:
        print("\n".join(_wrong(outcomes)))
    print("\n".join(table(outcomes)))
    sys.exit(0 if is_good(outcomes) else 1)


def table(outcomes: list[Outcome]) -> list[str]:
    """Right verdicts of all, by what was injected; then the totals."""
    every = [one for outcome in outcomes for one in outcome.verdicts]
    lines = [f"{'what happened':<46} {'should be':<10} {'reason':>9} {'since':>9} {'within':>8}"]
    names = sorted({(one.expected, one.name) for one in every})
    lines += [_line(name, expected, _of(every, name)) for expected, name in names]
    lines.append(_line("all", "", every))
    agreed = [one for outcome in outcomes for one in outcome.agreements]
    invented = sum(len(outcome.invented) for outcome in outcomes)
    lines.append(
        f"agreement equal to the measured one: {sum(one.right for one in agreed)} of {len(agreed)} kinds read"
    )
    lines.append(f"differences reported that nobody made: {invented}")
    return lines


def is_good(outcomes: list[Outcome]) -> bool:
    """Whether all targets are met: the shares of right reasons, every agreement, and nothing invented."""
    every = [one for outcome in outcomes for one in outcome.verdicts]
    each = [_of(every, name) for name in {one.name for one in every}]
    return (
        _share(every) >= WANTED
        and all(_share(some) > WANTED_EACH for some in each)
        and all(one.right for outcome in outcomes for one in outcome.agreements)
        and not any(outcome.invented for outcome in outcomes)
    )


def _of(every: list[Verdict], name: str) -> list[Verdict]:
    return [one for one in every if one.name == name]


def _share(some: list[Verdict]) -> float:
    return sum(one.right for one in some) / len(some) if some else 1.0


def _line(name: str, expected: str, some: list[Verdict]) -> str:
    right, since = sum(one.right for one in some), sum(one.since_right for one in some)
    hours = [one.span / timedelta(hours=1) for one in some if one.span is not None]
    width = f"{median(hours):.1f} h" if hours else "-"
    return f"{name:<46} {expected:<10} {right:>4}/{len(some):<4} {since:>4}/{len(some):<4} {width:>7}"


def _wrong(outcomes: list[Outcome]) -> Iterator[str]:
    for outcome in outcomes:
        for one in outcome.verdicts:
            if not (one.right and one.since_right):
                yield f"seed {outcome.seed}: {one.name}: {one.item}: reported {one.reported or 'nothing'}, {one.why}"
        for agreement in outcome.agreements:
            if not agreement.right:
                yield f"seed {outcome.seed}: {agreement}"
        yield from (f"seed {outcome.seed}: invented {words}" for words in outcome.invented)


if __name__ == "__main__":
    main()
