"""${message}."""

import sqlalchemy as sa
from alembic import op

from app.stores.sql.columns import Moment, Quantity
${imports if imports else ""}
revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}


def upgrade() -> None:
    """Make the change."""
    ${upgrades if upgrades else "pass"}
