"""Drift causes: the most specific one that the traces allow."""

from __future__ import annotations

import pytest

from app.rules.drift import DriftCause, Traces, cause_of


@pytest.mark.parametrize(
    ("traces", "cause"),
    [
        (Traces(), DriftCause.MISSED),
        (Traces(heard=True), DriftCause.UNKNOWN),
        (Traces(waiting=True), DriftCause.LATE),
        (Traces(waiting=True, failing=True), DriftCause.FAILED),
        (Traces(edited=True, failing=True), DriftCause.LOCAL),
    ],
)
def test_the_cause_follows_from_the_traces(traces: Traces, cause: DriftCause) -> None:
    assert cause_of(traces) is cause
