"""Validates the data: each check counts wrong rows by SQL, and shows some of them.

``inside`` has the questions about one connection's own rows, ``prices`` that about price lists, ``records`` those about
records as the source sent them, ``between`` those that compare connections; ``asking`` runs them. Every question scans
whole tables (seconds at 280,000 listings), because an index on a quantity or a moment would slow every write: callers
cache the findings (``stores.reports.cache``).
"""

from app.stores.validation.asking import Cutoffs, Finding, cutoffs
from app.stores.validation.measuring import CHECKS, measure
