"""Whether the data is right: each check counts what it finds wrong, by SQL, and shows some of it.

``inside`` has the questions about one connection's own rows, ``prices`` the one about price lists, ``records`` those about
records as they came, ``between`` those that compare it with the others, ``asking`` how a question is asked. Every question
looks at whole tables (seconds at 280,000 listings), so that no index on a quantity or a moment makes every write dearer:
callers remember what was found (``stores.reports.cache``).
"""

from app.stores.validation.asking import Cutoffs, Finding, cutoffs
from app.stores.validation.measuring import CHECKS, measure

__all__ = ["CHECKS", "Cutoffs", "Finding", "cutoffs", "measure"]
