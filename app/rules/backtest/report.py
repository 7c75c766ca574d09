"""What a backtest found: each method beside the 30-day mean, our levels beside the textbook's, targets, and losses."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from app.rules.backtest.backtest import BASE, OURS, SHARES, TEXTBOOK, Judged
from app.rules.backtest.scores import pinball, ratio, reached, score
from app.rules.demand.classes import DemandClass
from app.rules.demand.history import Bools, Floats

PROMISED = 0.95

MOST_MAE, MOST_RMSE, MOST_BIAS = 0.93, 0.95, 0.08
REACHED_FROM, REACHED_TO = 0.93, 0.97
MOST_PINBALL = 0.90
MOST_OF_A_CLASS = 1.02


@dataclass(frozen=True, slots=True)
class Relative:
    """Errors divided by those of the 30-day mean on the same rows; the bias as a share of what came."""

    mae: float
    rmse: float
    bias: float


@dataclass(frozen=True, slots=True)
class MethodRow:
    """One method, on some rows; ``money`` is None where no prices are known."""

    name: str
    rows: int
    units: Relative
    money: Relative | None


@dataclass(frozen=True, slots=True)
class LevelRow:
    """A level that is promised to be enough with probability ``promised``: how often ours and the textbook's were, the
    pinball loss of ours and our stock divided by those of the textbook."""

    name: str
    rows: int
    promised: float
    reached: float
    textbook_reached: float
    pinball: float
    stock: float


@dataclass(frozen=True, slots=True)
class Target:
    """What the default has to reach, and whether it did here."""

    what: str
    wanted: str
    found: float
    is_met: bool


@dataclass(frozen=True, slots=True)
class Findings:
    """The tables of a backtest: methods on all rows, ours by class, levels by promise and by class, targets, losses."""

    methods: tuple[MethodRow, ...]
    classes: tuple[MethodRow, ...]
    levels: tuple[LevelRow, ...]
    class_levels: tuple[LevelRow, ...]
    targets: tuple[Target, ...]
    losses: tuple[str, ...]


def findings(judged: Judged, *, has_money: bool) -> Findings:
    """Everything there is to say about the forecasts and levels of a backtest."""
    everything = np.ones(judged.actual.size, dtype=np.bool_)
    by_class = {one.word: judged.demand_class == one for one in DemandClass}
    methods = tuple(_method(judged, name, name, everything, has_money) for name in judged.forecasts)
    classes = tuple(_method(judged, word, OURS, rows, has_money) for word, rows in by_class.items() if rows.any())
    levels = tuple(_level(judged, f"{share:.0%}", everything, share) for share in SHARES)
    class_levels = tuple(_level(judged, word, rows, PROMISED) for word, rows in by_class.items() if rows.any())
    targets = tuple(_targets(methods, classes, levels))
    return Findings(methods, classes, levels, class_levels, targets, tuple(_losses(methods, classes, class_levels)))


def _method(judged: Judged, name: str, method: str, rows: Bools, has_money: bool) -> MethodRow:
    return MethodRow(
        name,
        int(rows.sum()),
        _relative(judged, method, rows, np.ones_like(judged.actual)),
        _relative(judged, method, rows, judged.price) if has_money else None,
    )


def _relative(judged: Judged, method: str, rows: Bools, weight: Floats) -> Relative:
    actual, mine = judged.actual[rows], weight[rows]
    found = score(judged.forecasts[method][rows], actual, mine)
    base = score(judged.forecasts[BASE][rows], actual, mine)
    return Relative(ratio(found.mae, base.mae), ratio(found.rmse, base.rmse), found.bias)


def _level(judged: Judged, name: str, rows: Bools, share: float) -> LevelRow:
    actual = judged.actual[rows]
    ours, textbook = (judged.levels[method][share][rows] for method in (OURS, TEXTBOOK))
    return LevelRow(
        name,
        int(rows.sum()),
        share,
        reached(ours, actual),
        reached(textbook, actual),
        ratio(pinball(ours, actual, share), pinball(textbook, actual, share)),
        ratio(float(ours.sum()), float(textbook.sum())),
    )


def _targets(
    methods: tuple[MethodRow, ...], classes: tuple[MethodRow, ...], levels: tuple[LevelRow, ...]
) -> Iterator[Target]:
    ours = _named(methods, OURS).units
    promised = next(level for level in levels if level.promised == PROMISED)
    worst = max((figure for one in classes for figure in (one.units.mae, one.units.rmse)), default=float("nan"))
    yield _at_most("MAE of the 30-day mean's", ours.mae, MOST_MAE)
    yield _at_most("RMSE of the 30-day mean's", ours.rmse, MOST_RMSE)
    yield Target("bias", f"within {MOST_BIAS:.0%}", ours.bias, abs(ours.bias) <= MOST_BIAS)
    span = f"{REACHED_FROM:.0%} to {REACHED_TO:.0%}"
    yield Target("95% promised, reached", span, promised.reached, REACHED_FROM <= promised.reached <= REACHED_TO)
    yield _at_most("pinball of the textbook's, at 95%", promised.pinball, MOST_PINBALL)
    yield _at_most("the worst class, MAE or RMSE", worst, MOST_OF_A_CLASS)


def _at_most(what: str, found: float, most: float) -> Target:
    return Target(what, f"at most {most:.2f}", found, found <= most)


def _losses(
    methods: tuple[MethodRow, ...], classes: tuple[MethodRow, ...], class_levels: tuple[LevelRow, ...]
) -> Iterator[str]:
    """One sentence for each comparison that the default lost."""
    ours = _named(methods, OURS)
    for other in methods:
        for what, mine, its in _figures(ours, other):
            if other.name != OURS and its < mine:
                yield f"{other.name} has the lower {what}: {its:.3f}, ours {mine:.3f}"
    for one in classes:
        for what, mine, _ in _figures(one, one):
            if mine > 1:
                yield f"{one.name}: the {what} is {mine - 1:.1%} above that of the {BASE}"
    for level in class_levels:
        if not REACHED_FROM <= level.reached <= REACHED_TO:
            yield f"{level.name}: 95% are promised, {level.reached:.1%} reached (textbook {level.textbook_reached:.1%})"


def _figures(one: MethodRow, other: MethodRow) -> Iterator[tuple[str, float, float]]:
    yield "MAE in units", one.units.mae, other.units.mae
    yield "RMSE in units", one.units.rmse, other.units.rmse
    if one.money is not None and other.money is not None:
        yield "MAE in money", one.money.mae, other.money.mae
        yield "RMSE in money", one.money.rmse, other.money.rmse


def _named(methods: tuple[MethodRow, ...], name: str) -> MethodRow:
    found: Mapping[str, MethodRow] = {one.name: one for one in methods}
    return found[name]
