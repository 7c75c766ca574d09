"""How the schema evolved: one Alembic revision per change, in order."""
