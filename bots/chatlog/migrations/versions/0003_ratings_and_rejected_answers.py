"""Let the training log keep ratings and rejected answers.

Spelled out rather than taken from `bots.chatlog.schema`, which moves on while this step stays as it is.
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
ROLE = "ck_training_messages_role"
ROLES = "role IN ('user', 'bot', 'correction', 'rejected')"


def upgrade() -> None:
    """Change three tables and make one."""
    op.add_column("messages", sa.Column("is_comparable", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.add_column("feedback", sa.Column("platform_id", sa.Text()))
    _allow_rejected_answers()
    _create_training_ratings()


def _allow_rejected_answers() -> None:
    # SQLite cannot change a constraint: there, the table is made anew and the rows are carried over. Before
    # `training_ratings`, whose rows would go with the old table.
    with op.batch_alter_table("training_messages", table_kwargs={"sqlite_autoincrement": True}) as table:
        table.drop_constraint(ROLE, type_="check")
        table.create_check_constraint(ROLE, ROLES)


def _create_training_ratings() -> None:
    op.create_table(
        "training_ratings",
        sa.Column("id", ID, nullable=False),
        sa.Column("copy_id", ID, nullable=False),
        sa.Column("pseudonym", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("score", sa.SmallInteger(), nullable=False),
        sa.Column("platform_id", sa.Text()),
        sa.Column("given_at", sa.BigInteger(), nullable=False),
        sa.Column("rule", sa.Text(), nullable=False),
        sa.Column("wording_id", sa.Text(), nullable=False),
        sa.Column("kept_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_training_ratings"),
        sa.ForeignKeyConstraint(
            ["copy_id"], ["training_messages.id"], name="fk_training_ratings_copy_id", ondelete="CASCADE"
        ),
        sa.CheckConstraint("score IN (-1, 1)", name="ck_training_ratings_score"),
        sa.UniqueConstraint("copy_id", "pseudonym", "source", name="uq_training_ratings_copy_id_pseudonym_source"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_training_ratings_pseudonym", "training_ratings", ["pseudonym"])
