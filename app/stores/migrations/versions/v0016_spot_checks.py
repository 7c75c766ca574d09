"""Spot checks between complete reads; a difference may be found by one, without a run."""

import sqlalchemy as sa
from alembic import op

from app.stores.sql.columns import Moment

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

AUTO_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Add what was checked and when it is next; a difference needs no run any more."""
    op.create_table(
        "spot_checks",
        sa.Column("id", AUTO_ID, primary_key=True),
        *(sa.Column(name, sa.String(), nullable=False) for name in ("connection", "kind", "item")),
        sa.Column("at", Moment(), nullable=False),
        sa.Column("equal", sa.Boolean(), nullable=False),
    )
    op.create_index("ix_spot_checks_at", "spot_checks", ["connection", "kind", "at"])
    op.create_table(
        "spot_check_turns",
        *(sa.Column(name, sa.String(), primary_key=True) for name in ("connection", "kind")),
        sa.Column("next_at", Moment(), nullable=False),
    )
    _run_may_be_missing(True)


def downgrade() -> None:
    """Take it away, with the differences that no run found."""
    op.execute("DELETE FROM drift WHERE run_id IS NULL")
    _run_may_be_missing(False)
    op.drop_table("spot_check_turns")
    op.drop_table("spot_checks")


def _run_may_be_missing(nullable: bool) -> None:
    with op.batch_alter_table("drift") as batch:
        batch.alter_column("run_id", existing_type=sa.BigInteger(), nullable=nullable)
