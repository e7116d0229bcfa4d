"""Masters that a person rejects.

Revision ID: 0002
Revises: 0001
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("combination", sa.Column("rejected", sa.Text(), nullable=True))


def downgrade() -> None:
    with op.batch_alter_table("combination") as batch:
        batch.drop_column("rejected")
