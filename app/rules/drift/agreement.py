"""How true a copy is: the share of rows that are equal, and its confidence interval when only a sample was checked."""

from math import ceil, floor, sqrt
from typing import NamedTuple

SURE = 1.959964
"""Standard deviations around the mean that hold 95 % of a normal distribution."""

_DIGITS = 1_000_000


class Interval(NamedTuple):
    """The lowest and the highest likely share, 0 to 1."""

    low: float
    high: float


def wilson(equal: int, checked: int) -> Interval | None:
    """The interval in which the true share lies with 95 % certainty, when ``equal`` of ``checked`` random rows were equal;
    ``None`` when none was checked. Rounded outwards to six digits.

    The score interval of E. B. Wilson, "Probable Inference, the Law of Succession, and Statistical Inference", Journal of
    the American Statistical Association 22 (158), 1927, pages 209 to 212. Unlike the usual estimate plus and minus two
    standard errors it never leaves 0 to 1, and says something where every row that was checked was equal.
    """
    if checked <= 0:
        return None
    share, spread = equal / checked, SURE * SURE
    middle = share + spread / (2 * checked)
    reach = SURE * sqrt(share * (1 - share) / checked + spread / (4 * checked * checked))
    low, high = ((middle + side * reach) / (1 + spread / checked) for side in (-1, 1))
    return Interval(
        0.0 if equal == 0 else floor(low * _DIGITS) / _DIGITS,
        1.0 if equal == checked else min(1.0, ceil(high * _DIGITS) / _DIGITS),
    )


class Agreed(NamedTuple):
    """``rows`` is the number of rows that live at the source or here; ``equal`` of them have equal content after the write,
    and ``differed`` is how many the write corrected. If that is not known, ``equal`` is ``None`` and ``unknown`` says
    why."""

    rows: int
    equal: int | None
    differed: int
    unknown: str | None = None

    @property
    def share(self) -> float | None:
        """0 to 1, and 1.0 only if every row is equal; ``None`` when it is not known."""
        return share_of(self.equal, self.rows)


def share_of(equal: int | None, rows: int) -> float | None:
    """The share that ``equal`` of ``rows`` are, rounded so that only all rows give 1.0; 1.0 if there are no rows."""
    if equal is None:
        return None
    return 1.0 if equal >= rows else min(round(max(0, equal) / rows, 6), 0.999999)
