"""Errors as answers: what a vendor said is told, without our secrets in it."""

from __future__ import annotations

import pytest

from app.errors import AuthRejected, BadAnswer, Refused, TallyhookError, Unavailable
from app.rules.access.redaction import redactor
from app.stores.sql.engine import Database
from app.web.problems import problem_of
from tests.fakes import World
from tests.web.serving import serving

KEY = "canary-0123456789"


@pytest.mark.parametrize("kind", [Refused, AuthRejected, Unavailable, BadAnswer])
def test_no_error_tells_a_secret_that_a_vendor_repeated(kind: type[TallyhookError]) -> None:
    problem = problem_of(kind(f"GET /v2: 400 'your key {KEY}'"), redactor([KEY]))
    assert problem.error.message == "GET /v2: 400 'your key (removed)'"


@pytest.mark.parametrize("path", ["/login/", "/dead-letters/"])
def test_no_redirect_is_made_of_the_host_that_a_request_names(database: Database, path: str) -> None:
    with serving(World(database).deps) as client:
        answer = client.get(path, headers={"host": "elsewhere.example"})
    assert (answer.status_code, "elsewhere.example" in f"{answer.headers}{answer.text}") == (404, False)
