"""Errors as answers: what a vendor said is told, without our secrets in it."""

import pytest

from app.errors import (
    AuthRejected,
    BadAnswer,
    Busy,
    Conflict,
    Forbidden,
    InvalidRequest,
    NotFound,
    Refused,
    TallyhookError,
    Unavailable,
    VendorRefused,
)
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


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (NotFound("there is no hold 7", "hold"), 404, "unknown_hold"),
        (NotFound("nothing matches"), 404, "not_found"),
        (Conflict("it is over already"), 409, "conflict"),
        (Busy("run 7 is active", 7), 409, "conflict"),
        (InvalidRequest("a name has 1 to 100 letters"), 422, "refused"),
        (VendorRefused("400 no such filter"), 422, "refused"),
        (Forbidden("only an admin may"), 403, "forbidden"),
    ],
)
def test_each_sort_of_refusal_has_a_status_of_its_own(error: TallyhookError, status: int, code: str) -> None:
    problem = problem_of(error)
    assert (problem.status, problem.error.code) == (status, code)


@pytest.mark.parametrize("path", ["/login/", "/dead-letters/"])
def test_no_redirect_is_made_of_the_host_that_a_request_names(database: Database, path: str) -> None:
    with serving(World(database).deps) as client:
        answer = client.get(path, headers={"host": "elsewhere.example"})
    assert (answer.status_code, "elsewhere.example" in f"{answer.headers}{answer.text}") == (404, False)
