"""Subscribers: other programs to which the feed of changes is sent."""

from alembic import op

from app.stores.migrations.columns import flags, moments, numbers, row_id, texts, words

revision = "0030"
down_revision = "0029"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the table."""
    op.create_table(
        "subscribers",
        row_id(),
        *(*words("name"), *texts("url", "secret"), *texts("connections", "kinds", nullable=True)),
        *(*flags("enabled"), *words("cursor")),
        *(*moments("created_at"), *words("created_by")),
        *moments("last_success_at", "failing_since", "next_at", "lease_until", nullable=True),
        *(*numbers("attempts"), *texts("last_error", nullable=True)),
        *words("batch_id", "batch_end", nullable=True),
    )


def downgrade() -> None:
    """Take it away."""
    op.drop_table("subscribers")
