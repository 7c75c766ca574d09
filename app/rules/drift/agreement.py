"""The interval in which a share lies, when only a sample was checked."""

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
