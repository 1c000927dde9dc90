"""Make the tables for consent, training, plugins' data, corrections and mail; drop a flag that nothing ever set.

Spelled out rather than taken from `bots.chatlog.schema`, which moves on while this step stays as it is.
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
KEPT = "consents are only ever added to"


def upgrade() -> None:
    """Change two tables and make eight."""
    op.add_column("chats", sa.Column("plugins_off", sa.Text()))
    op.drop_column("messages", "is_trainable")
    for name in ("is_passing", "is_forwarded", "remembers_others"):
        op.add_column("messages", sa.Column(name, sa.Boolean(), nullable=False, server_default=sa.false()))
    op.create_index("ix_messages_author_id", "messages", ["author_id"])
    _create_corrections()
    _create_people()
    _create_consents()
    _create_training_messages()
    _create_lineage()
    _create_plugin_data()
    _create_requests()
    _create_notices()


def _create_corrections() -> None:
    op.create_table(
        "corrections",
        sa.Column("id", ID, nullable=False),
        sa.Column("message_id", ID, nullable=False),
        sa.Column("user_id", sa.Text(), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.Column("key_id", sa.Text(), nullable=False),
        sa.Column("given_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_corrections"),
        sa.ForeignKeyConstraint(["message_id"], ["messages.id"], name="fk_corrections_message_id", ondelete="CASCADE"),
        sa.UniqueConstraint("message_id", "user_id", name="uq_corrections_message_id_user_id"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_corrections_user_id", "corrections", ["user_id"])
    op.create_index("ix_corrections_key_id", "corrections", ["key_id"])


def _create_people() -> None:
    op.create_table(
        "people",
        sa.Column("id", ID, nullable=False),
        sa.Column("platform", sa.Text(), nullable=False),
        sa.Column("user_id", sa.Text(), nullable=False),
        sa.Column("key", sa.LargeBinary(), nullable=False),
        sa.Column("key_id", sa.Text(), nullable=False),
        sa.Column("pseudonym", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_people"),
        sa.UniqueConstraint("pseudonym", name="uq_people_pseudonym"),
        sa.UniqueConstraint("platform", "user_id", name="uq_people_platform_user_id"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_people_key_id", "people", ["key_id"])


def _create_consents() -> None:
    op.create_table(
        "consents",
        sa.Column("id", ID, nullable=False),
        sa.Column("pseudonym", sa.Text(), nullable=False),
        sa.Column("platform", sa.Text(), nullable=False),
        sa.Column("chat_uuid", sa.Text(), nullable=False),
        sa.Column("purpose", sa.Text(), nullable=False),
        sa.Column("is_granted", sa.Boolean(), nullable=False),
        sa.Column("wording_id", sa.Text(), nullable=False),
        sa.Column("wording_sha256", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_consents"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_consents_standing", "consents", ["pseudonym", "chat_uuid", "purpose"])
    op.create_index("ix_consents_chat_uuid", "consents", ["chat_uuid"])
    if op.get_bind().dialect.name == "sqlite":
        _keep_consents_on_sqlite()
    else:
        _keep_consents_on_postgres()


def _keep_consents_on_sqlite() -> None:
    refuse = f"BEGIN SELECT RAISE(ABORT, '{KEPT}'); END"
    is_there = "EXISTS (SELECT 1 FROM consents WHERE id = NEW.id)"
    op.execute(f"CREATE TRIGGER consents_update BEFORE UPDATE ON consents {refuse}")
    op.execute(f"CREATE TRIGGER consents_delete BEFORE DELETE ON consents {refuse}")
    # REPLACE removes the row in its way without asking the trigger above.
    op.execute(f"CREATE TRIGGER consents_replace BEFORE INSERT ON consents WHEN {is_there} {refuse}")


def _keep_consents_on_postgres() -> None:
    op.execute(
        "CREATE FUNCTION consents_are_kept() RETURNS trigger LANGUAGE plpgsql AS "
        f"$$ BEGIN RAISE EXCEPTION '{KEPT}'; END $$"
    )
    op.execute(
        "CREATE TRIGGER consents_are_kept BEFORE UPDATE OR DELETE OR TRUNCATE ON consents "
        "FOR EACH STATEMENT EXECUTE FUNCTION consents_are_kept()"
    )


def _create_training_messages() -> None:
    op.create_table(
        "training_messages",
        sa.Column("id", ID, nullable=False),
        sa.Column("chat_uuid", sa.Text(), nullable=False),
        sa.Column("platform", sa.Text(), nullable=False),
        sa.Column("turn", sa.BigInteger(), nullable=False),
        sa.Column("message_id", sa.BigInteger(), nullable=False),
        sa.Column("platform_id", sa.Text()),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("pseudonym", sa.Text(), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.Column("key_id", sa.Text(), nullable=False),
        sa.Column("addressed", sa.Text(), nullable=False),
        sa.Column("sent_at", sa.BigInteger(), nullable=False),
        sa.Column("rule", sa.Text(), nullable=False),
        sa.Column("wording_id", sa.Text(), nullable=False),
        sa.Column("model_version", sa.Text()),
        sa.Column("kept_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_training_messages"),
        sa.CheckConstraint("role IN ('user', 'bot', 'correction')", name="ck_training_messages_role"),
        sa.UniqueConstraint("message_id", "role", "pseudonym", name="uq_training_messages_message_id_role_pseudonym"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_training_messages_platform_id", "training_messages", ["chat_uuid", "platform_id"])
    for column in ("turn", "pseudonym", "sent_at", "key_id"):
        op.create_index(f"ix_training_messages_{column}", "training_messages", [column])


def _create_lineage() -> None:
    op.create_table(
        "lineage",
        sa.Column("id", ID, nullable=False),
        sa.Column("model_version", sa.Text(), nullable=False),
        sa.Column("pseudonym", sa.Text(), nullable=False),
        sa.Column("num_messages", sa.Integer(), nullable=False),
        sa.Column("noted_at", sa.BigInteger(), nullable=False),
        sa.Column("forgotten_at", sa.BigInteger()),
        sa.PrimaryKeyConstraint("id", name="pk_lineage"),
        sa.UniqueConstraint("model_version", "pseudonym", name="uq_lineage_model_version_pseudonym"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_lineage_pseudonym", "lineage", ["pseudonym"])


def _create_plugin_data() -> None:
    op.create_table(
        "plugin_data",
        sa.Column("id", ID, nullable=False),
        sa.Column("plugin", sa.Text(), nullable=False),
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("value", sa.LargeBinary(), nullable=False),
        sa.Column("key_id", sa.Text(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_plugin_data"),
        sa.CheckConstraint("scope IN ('plugin', 'chat', 'user')", name="ck_plugin_data_scope"),
        sa.UniqueConstraint("plugin", "scope", "owner", "key", name="uq_plugin_data_plugin_scope_owner_key"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_plugin_data_owner", "plugin_data", ["scope", "owner"])
    op.create_index("ix_plugin_data_key_id", "plugin_data", ["key_id"])


def _create_requests() -> None:
    op.create_table(
        "requests",
        sa.Column("id", ID, nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("chat_key", sa.Text(), nullable=False),
        sa.Column("user_platform", sa.Text(), nullable=False),
        sa.Column("user_id", sa.Text(), nullable=False),
        sa.Column("asked_at", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("changed_at", sa.BigInteger(), nullable=False),
        sa.Column("note", sa.Text(), nullable=False, server_default=""),
        sa.PrimaryKeyConstraint("id", name="pk_requests"),
        sa.CheckConstraint("state IN ('waiting', 'taken', 'done', 'failed')", name="ck_requests_state"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_requests_kind", "requests", ["kind", "state"])
    op.create_index("ix_requests_user", "requests", ["user_platform", "user_id"])


def _create_notices() -> None:
    op.create_table(
        "notices",
        sa.Column("id", ID, nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("delivered_at", sa.BigInteger()),
        sa.PrimaryKeyConstraint("id", name="pk_notices"),
        sqlite_autoincrement=True,
    )
