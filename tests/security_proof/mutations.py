"""Every mutation, and those of a row."""

from tests.security_proof import callers, requests, texts_and_records
from tests.security_proof.mutation import Mutation
from tests.security_proof.policy import Row

MUTATIONS: tuple[Mutation, ...] = (*callers.MUTATIONS, *requests.MUTATIONS, *texts_and_records.MUTATIONS)


def of(row: Row) -> list[Mutation]:
    """Those that take a guard of this row away."""
    return [one for one in MUTATIONS if one.threat == row.threat]
