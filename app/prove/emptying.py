"""Empties a database that is there for nothing but proofs."""

from __future__ import annotations

import psycopg
from sqlmodel import SQLModel

from app.stores import tables

__all__ = ["empty"]


def empty(url: str) -> None:
    """Delete every row of every table of ours; the audit log's trigger is put aside for that."""
    assert tables.InboxEvent.__tablename__
    with psycopg.connect(url, autocommit=True) as conn:
        conn.execute("SET session_replication_role = replica")
        conn.execute(";".join(f"DELETE FROM {table}" for table in SQLModel.metadata.tables).encode())
