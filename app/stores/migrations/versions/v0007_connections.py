"""The state of each connection and of its kinds."""

from alembic import op

from app.stores.migrations.columns import keys, moments, numbers, texts, words

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Add the table."""
    op.create_table(
        "connection_states",
        *(*keys("connection", "kind"), *words("state"), *moments("since", "seen_at")),
        *(*texts("reason", nullable=True), *moments("next_probe_at", nullable=True), *numbers("probes")),
        *(*texts("paused_by", nullable=True), *words("credentials")),
    )
