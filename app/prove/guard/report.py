"""The report of the experiment: results by case and by size, and every trial that went wrong."""

from collections.abc import Callable, Iterator, Sequence

from rich.table import Table

from app.prove.guard.trial import Outcome


def line(outcomes: Sequence[Outcome]) -> str:
    """The result so far of the trials with shops of one size."""
    disasters = [one for one in outcomes if one.trial.is_disaster]
    lives = [one for one in outcomes if not one.trial.is_disaster]
    through, held = (sum(not one.is_right for one in some) for some in (disasters, lives))
    return (
        f"{outcomes[0].trial.size:,} products: {through} of {len(disasters)} disasters let through,"
        f" {held} of {len(lives)} lives held"
    )


def tables(outcomes: Sequence[Outcome]) -> Iterator[Table]:
    """Disasters and lives by name, then both by the size of the shop."""
    yield _table("disaster", "let through", [one for one in outcomes if one.trial.is_disaster], _name)
    yield _table("ordinary life", "wrongly held", [one for one in outcomes if not one.trial.is_disaster], _name)
    yield _table("products", "let through", [one for one in outcomes if one.trial.is_disaster], _size)
    yield _table("products", "wrongly held", [one for one in outcomes if not one.trial.is_disaster], _size)


def worst(outcomes: Sequence[Outcome]) -> Iterator[str]:
    """One line for each trial that went wrong."""
    for one in outcomes:
        if not one.is_right:
            way = "a poll first" if one.trial.poll_first else "nightly"
            tried = f"{one.trial.case}, {one.trial.size} products, {way}, seed {one.trial.seed}"
            yield f"{tried}: {one.wrong:.1%} wrong, held: {'; '.join(one.held) or 'nothing'}"


def _name(outcome: Outcome) -> str:
    return outcome.trial.case


def _size(outcome: Outcome) -> str:
    return f"{outcome.trial.size:,}"


def _table(what: str, failed: str, outcomes: Sequence[Outcome], group: Callable[[Outcome], str]) -> Table:
    table = Table(what, f"{failed}, nightly", f"{failed}, a poll first", title_justify="left")
    for name in dict.fromkeys(
        sorted(map(group, outcomes), key=lambda text: (len(text) if text[0].isdigit() else 0, text))
    ):
        mine = [one for one in outcomes if group(one) == name]
        table.add_row(name, *(_share(mine, poll_first=first) for first in (False, True)))
    table.add_section()
    table.add_row("all", *(_share(outcomes, poll_first=first) for first in (False, True)))
    return table


def _share(outcomes: Sequence[Outcome], *, poll_first: bool) -> str:
    tried = [one for one in outcomes if one.trial.poll_first is poll_first]
    return f"{sum(not one.is_right for one in tried)} of {len(tried)}"
