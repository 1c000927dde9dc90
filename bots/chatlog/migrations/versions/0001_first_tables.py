"""Make the first tables.

Spelled out rather than taken from `bots.chatlog.schema`, which moves on while this step stays as it is.
"""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
OPEN_STATES = sa.text("state IN ('waiting', 'writing', 'written')")


def upgrade() -> None:
    """Make the four tables."""
    _create_chats()
    _create_messages()
    _create_posts()
    _create_feedback()


def _create_chats() -> None:
    op.create_table(
        "chats",
        sa.Column("id", ID, nullable=False),
        sa.Column("uuid", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("platform", sa.Text(), nullable=False),
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("chat", sa.Text(), nullable=False),
        sa.Column("thread", sa.Text()),
        sa.Column("is_private", sa.Boolean(), nullable=False),
        sa.Column("persona", sa.LargeBinary()),
        sa.Column("keywords", sa.LargeBinary()),
        sa.Column("key_id", sa.Text()),
        sa.Column("trigger", sa.Text(), nullable=False),
        sa.Column("reset_at", sa.BigInteger()),
        sa.Column("window_from", sa.BigInteger()),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_chats"),
        sa.UniqueConstraint("uuid", name="uq_chats_uuid"),
        sa.UniqueConstraint("key", name="uq_chats_key"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_chats_place", "chats", ["platform", "account", "chat"])
    op.create_index("ix_chats_key_id", "chats", ["key_id"])


def _create_messages() -> None:
    op.create_table(
        "messages",
        sa.Column("id", ID, nullable=False),
        sa.Column("chat_id", ID, nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("author_id", sa.Text()),
        sa.Column("content", sa.LargeBinary()),
        sa.Column("key_id", sa.Text()),
        sa.Column("platform_id", sa.Text()),
        sa.Column("reply_to", sa.Text()),
        sa.Column("addressed", sa.Text(), nullable=False, server_default=""),
        sa.Column("sent_at", sa.BigInteger(), nullable=False),
        sa.Column("edited_at", sa.BigInteger()),
        sa.Column("deleted_at", sa.BigInteger()),
        sa.Column("answer_id", ID),
        sa.Column("turn", sa.BigInteger()),
        sa.Column("replaces", sa.BigInteger()),
        sa.Column("model_version", sa.Text()),
        sa.Column("prompt_sha256", sa.Text()),
        sa.Column("finish_reason", sa.Text()),
        sa.Column("is_trainable", sa.Boolean(), nullable=False, server_default=sa.false()),
        sa.PrimaryKeyConstraint("id", name="pk_messages"),
        sa.ForeignKeyConstraint(["chat_id"], ["chats.id"], name="fk_messages_chat_id"),
        sa.ForeignKeyConstraint(["answer_id"], ["messages.id"], name="fk_messages_answer_id", ondelete="SET NULL"),
        sa.CheckConstraint("role IN ('user', 'bot')", name="ck_messages_role"),
        sa.UniqueConstraint("chat_id", "platform_id", name="uq_messages_chat_id_platform_id"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_messages_turn", "messages", ["chat_id", "turn"])
    op.create_index("ix_messages_answer_id", "messages", ["answer_id"])
    op.create_index("ix_messages_sent_at", "messages", ["sent_at"])
    op.create_index("ix_messages_key_id", "messages", ["key_id"])
    op.create_index("ix_messages_open", "messages", ["chat_id"], sqlite_where=OPEN_STATES, postgresql_where=OPEN_STATES)


def _create_posts() -> None:
    op.create_table(
        "posts",
        sa.Column("id", ID, nullable=False),
        sa.Column("message_id", ID, nullable=False),
        sa.Column("chat_id", ID, nullable=False),
        sa.Column("part", sa.Integer(), nullable=False),
        sa.Column("nonce", sa.Text(), nullable=False),
        sa.Column("platform_id", sa.Text()),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_posts"),
        sa.ForeignKeyConstraint(["message_id"], ["messages.id"], name="fk_posts_message_id", ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["chat_id"], ["chats.id"], name="fk_posts_chat_id"),
        sa.UniqueConstraint("message_id", "part", name="uq_posts_message_id_part"),
        sa.UniqueConstraint("chat_id", "platform_id", name="uq_posts_chat_id_platform_id"),
        sqlite_autoincrement=True,
    )


def _create_feedback() -> None:
    op.create_table(
        "feedback",
        sa.Column("id", ID, nullable=False),
        sa.Column("message_id", ID, nullable=False),
        sa.Column("user_id", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("score", sa.SmallInteger(), nullable=False),
        sa.Column("given_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_feedback"),
        sa.ForeignKeyConstraint(["message_id"], ["messages.id"], name="fk_feedback_message_id", ondelete="CASCADE"),
        sa.CheckConstraint("score IN (-1, 1)", name="ck_feedback_score"),
        sa.UniqueConstraint("message_id", "user_id", "source", name="uq_feedback_message_id_user_id_source"),
        sqlite_autoincrement=True,
    )
