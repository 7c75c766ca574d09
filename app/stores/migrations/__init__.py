"""How the schema came to be: one Alembic revision per change, in order."""
