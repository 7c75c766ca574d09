"""What the sources of all vendors do alike with their HTTP clients."""

from collections.abc import Iterator
from contextlib import contextmanager

from app.errors import BudgetSpent, RateLimited, VendorForbidden
from app.sources.http import Http


class ClientSource:
    """The methods of ``base.Source`` that only pass the question on to the vendor's HTTP client."""

    _http: Http

    def calls(self) -> int:
        """Requests that this thread has sent so far."""
        return self._http.calls

    def warm(self) -> None:
        """Build this thread's HTTP client now."""
        self._http.warm()

    def close(self) -> None:
        """Give connections back."""
        self._http.close()


@contextmanager
def any_answer() -> Iterator[None]:
    """For a check whether the vendor answers at all: a 403 or a 429 passes, our own spent budget does not."""
    try:
        yield
    except BudgetSpent:
        raise
    except (VendorForbidden, RateLimited):
        return
