"""Errors as answers: what a vendor said is told, without our secrets in it."""

from __future__ import annotations

import pytest

from app.errors import AuthRejected, BadAnswer, Refused, TallyhookError, Unavailable
from app.rules.redaction import redactor
from app.web.problems import problem_of

KEY = "canary-0123456789"


@pytest.mark.parametrize("kind", [Refused, AuthRejected, Unavailable, BadAnswer])
def test_no_error_tells_a_secret_that_a_vendor_repeated(kind: type[TallyhookError]) -> None:
    problem = problem_of(kind(f"GET /v2: 400 'your key {KEY}'"), redactor([KEY]))
    assert problem.error.message == "GET /v2: 400 'your key (removed)'"
