"""Proof of SECURITY.md: each guard of its table is taken away, and the tests that the table names must notice."""
