"""Sorts SKUs by how they sell: how often, and how evenly.

The cut-offs are those of A. A. Syntetos, J. E. Boylan, J. D. Croston, "On the categorization of demand patterns", Journal
of the Operational Research Society 56, 2005, pages 495 to 503.
"""

from enum import IntEnum

import numpy as np

from app.rules.demand.history import Demand, Floats, Ints, divided

OFTEN = 1.32
"""Exposed days per selling day; up to it a SKU sells on most days."""

EVEN = 0.49
"""(standard deviation / mean)² of what a selling day sells; up to it selling days are alike."""


class DemandClass(IntEnum):
    """How a SKU sells."""

    SMOOTH = 0
    ERRATIC = 1
    INTERMITTENT = 2
    LUMPY = 3

    @property
    def word(self) -> str:
        """As people read it."""
        return self.name.lower()


def demand_classes(demand: Demand) -> Ints:
    """The ``DemandClass`` of each SKU [sku]; one that never sold is intermittent."""
    selling = (demand.units > 0).sum(axis=1)
    interval = demand.exposure.sum(axis=1) / np.maximum(selling, 1)
    is_seldom = (interval > OFTEN) | (selling == 0)
    is_uneven = variation(demand.units) > EVEN
    return np.where(
        is_seldom,
        np.where(is_uneven, DemandClass.LUMPY, DemandClass.INTERMITTENT),
        np.where(is_uneven, DemandClass.ERRATIC, DemandClass.SMOOTH),
    ).astype(np.int64)


def variation(units: Floats) -> Floats:
    """(standard deviation / mean)^2 of the selling days of each SKU [sku]; 0 without any."""
    count = np.maximum((units > 0).sum(axis=1), 1)
    mean = units.sum(axis=1) / count
    variance = np.maximum(np.square(units).sum(axis=1) / count - np.square(mean), 0.0)
    return divided(variance, np.square(mean))
