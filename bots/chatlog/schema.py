"""The tables of the chat log, the same on SQLite and PostgreSQL; their format's version is the newest migration.

Read by whoever meets the log at its tables. Knows nothing of how rows come about. A change here comes with a
migration in `bots.chatlog.migrations`: a test compares what both make.

Texts are encrypted (`bots.chatlog.cipher`); `key_id` says with which key, and is empty where there is no text.
Times are microseconds since 1970 in UTC, which both databases store, compare and give back alike.
"""

from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Dialect,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
    false,
    text,
)

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class UtcTime(TypeDecorator[datetime]):
    """A time with a zone, stored as microseconds since 1970."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> Any:  # noqa: ARG002 - its signature
        """To the database; exact, unlike `timestamp()`."""
        return None if value is None else (value - EPOCH) // timedelta(microseconds=1)

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:  # noqa: ARG002 - its signature
        """From the database."""
        return None if value is None else EPOCH + timedelta(microseconds=value)


metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
    }
)

# SQLite counts ids by itself only in a column of this very type.
Id = BigInteger().with_variant(Integer(), "sqlite")

chats = Table(
    "chats",
    metadata,
    Column("id", Id, primary_key=True),
    # Never changes, not even when the chat moves: ciphertexts are bound to it.
    Column("uuid", Text, nullable=False, unique=True),
    Column("key", Text, nullable=False, unique=True),  # ChatRef.key
    Column("platform", Text, nullable=False),
    Column("account", Text, nullable=False),
    Column("chat", Text, nullable=False),
    Column("thread", Text),
    Column("is_private", Boolean, nullable=False),
    Column("persona", LargeBinary),  # encrypted; empty for the default
    Column("keywords", LargeBinary),  # encrypted JSON list
    Column("key_id", Text),
    Column("trigger", Text, nullable=False),  # records.Trigger
    Column("plugins_off", Text),  # JSON list of names; empty if none
    Column("reset_at", BigInteger),  # turns up to this one are forgotten
    Column("window_from", BigInteger),  # turns before this one are out of the model's window
    Column("created_at", UtcTime, nullable=False),
    Index("ix_chats_place", "platform", "account", "chat"),
    Index("ix_chats_key_id", "key_id"),
    sqlite_autoincrement=True,
)

# The same words as in the queries: SQLite uses a partial index for no others.
OPEN_STATES = text("state IN ('waiting', 'writing', 'written')")

messages = Table(
    "messages",
    metadata,
    Column("id", Id, primary_key=True),
    Column("chat_id", Id, ForeignKey("chats.id"), nullable=False),
    Column("role", Text, nullable=False),
    Column("state", Text, nullable=False),  # records.QuestionState or AnswerState
    Column("author_id", Text),  # empty on the bot's rows
    Column("content", LargeBinary),  # encrypted; empty once it was wiped, or before an answer is written
    Column("key_id", Text),
    Column("platform_id", Text),  # empty on the bot's rows, whose posts have them
    Column("reply_to", Text),
    Column("addressed", Text, nullable=False, server_default=""),  # bots.message.Addressed, by comma
    Column("sent_at", UtcTime, nullable=False),
    Column("edited_at", UtcTime),
    Column("deleted_at", UtcTime),
    # On a person's row: the newest answer to it. On the bot's: the first question's id, which orders turns.
    Column("answer_id", Id, ForeignKey("messages.id", ondelete="SET NULL")),
    Column("turn", BigInteger),
    Column("replaces", BigInteger),  # on the bot's rows: the answer that comes back if this one fails
    Column("model_version", Text),
    Column("prompt_sha256", Text),
    Column("finish_reason", Text),
    Column("is_passing", Boolean, nullable=False, server_default=false()),  # kept only until it is answered
    Column("is_forwarded", Boolean, nullable=False, server_default=false()),  # bots.message.Message.is_forwarded
    # On the bot's rows: bots.policy.Words.remembers_others, which nobody can tell any more once those are gone.
    Column("remembers_others", Boolean, nullable=False, server_default=false()),
    # On the bot's rows: whether one that takes its place is an answer to the same questions, word for word. Once one
    # has, also whether this one had been delivered.
    Column("is_comparable", Boolean, nullable=False, server_default=false()),
    CheckConstraint("role IN ('user', 'bot')", name="role"),
    UniqueConstraint("chat_id", "platform_id"),
    Index("ix_messages_turn", "chat_id", "turn"),
    Index("ix_messages_answer_id", "answer_id"),
    Index("ix_messages_sent_at", "sent_at"),
    Index("ix_messages_key_id", "key_id"),
    Index("ix_messages_author_id", "author_id"),
    Index("ix_messages_open", "chat_id", sqlite_where=OPEN_STATES, postgresql_where=OPEN_STATES),
    sqlite_autoincrement=True,  # an id is never used twice: turns are ordered by it
)

posts = Table(
    "posts",
    metadata,
    Column("id", Id, primary_key=True),
    Column("message_id", Id, ForeignKey("messages.id", ondelete="CASCADE"), nullable=False),
    Column("chat_id", Id, ForeignKey("chats.id"), nullable=False),
    Column("part", Integer, nullable=False),
    Column("nonce", Text, nullable=False),
    Column("platform_id", Text),  # empty until it is acknowledged
    Column("created_at", UtcTime, nullable=False),
    UniqueConstraint("message_id", "part"),
    UniqueConstraint("chat_id", "platform_id"),
    sqlite_autoincrement=True,
)

feedback = Table(
    "feedback",
    metadata,
    Column("id", Id, primary_key=True),
    Column("message_id", Id, ForeignKey("messages.id", ondelete="CASCADE"), nullable=False),
    Column("user_id", Text, nullable=False),
    Column("source", Text, nullable=False),  # records.FeedbackSource
    Column("score", SmallInteger, nullable=False),
    Column("platform_id", Text),  # of the post that it was given to; empty once the chat has moved
    Column("given_at", UtcTime, nullable=False),
    CheckConstraint("score IN (-1, 1)", name="score"),
    UniqueConstraint("message_id", "user_id", "source"),
    sqlite_autoincrement=True,
)

corrections = Table(
    "corrections",
    metadata,
    Column("id", Id, primary_key=True),
    Column("message_id", Id, ForeignKey("messages.id", ondelete="CASCADE"), nullable=False),  # the bot's answer
    Column("user_id", Text, nullable=False),
    Column("content", LargeBinary, nullable=False),  # encrypted
    Column("key_id", Text, nullable=False),
    Column("given_at", UtcTime, nullable=False),
    UniqueConstraint("message_id", "user_id"),
    Index("ix_corrections_user_id", "user_id"),
    Index("ix_corrections_key_id", "key_id"),
    sqlite_autoincrement=True,
)

# The one link between a person and a pseudonym. Without the row nobody can tell whose the pseudonym was, as its key
# was random.
people = Table(
    "people",
    metadata,
    Column("id", Id, primary_key=True),
    Column("platform", Text, nullable=False),
    Column("user_id", Text, nullable=False),
    Column("key", LargeBinary, nullable=False),  # encrypted
    Column("key_id", Text, nullable=False),
    Column("pseudonym", Text, nullable=False, unique=True),
    Column("created_at", UtcTime, nullable=False),
    UniqueConstraint("platform", "user_id"),
    Index("ix_people_key_id", "key_id"),
    sqlite_autoincrement=True,
)

# A ledger: rows are added, and triggers refuse to change or remove any.
consents = Table(
    "consents",
    metadata,
    Column("id", Id, primary_key=True),
    Column("pseudonym", Text, nullable=False),
    Column("platform", Text, nullable=False),
    Column("chat_uuid", Text, nullable=False),  # chats.uuid, of the chat that a thread is in: no id that names a person
    Column("purpose", Text, nullable=False),  # bots.policy.Purpose
    Column("is_granted", Boolean, nullable=False),
    Column("wording_id", Text, nullable=False),
    Column("wording_sha256", Text, nullable=False),
    Column("at", UtcTime, nullable=False),
    Column("source", Text, nullable=False),  # records.ConsentSource
    Index("ix_consents_standing", "pseudonym", "chat_uuid", "purpose"),
    Index("ix_consents_chat_uuid", "chat_uuid"),
    sqlite_autoincrement=True,
)

# The second log: copies, under pseudonyms, of what the policy lets be trained on; with a retention of its own.
training_messages = Table(
    "training_messages",
    metadata,
    Column("id", Id, primary_key=True),
    Column("chat_uuid", Text, nullable=False),
    Column("platform", Text, nullable=False),
    Column("turn", BigInteger, nullable=False),
    # messages.id of what it is a copy of, or of the answer that it corrects; that row may be gone by now.
    Column("message_id", BigInteger, nullable=False),
    # On people's messages, as in `messages`: who deletes one is followed though the row is gone.
    Column("platform_id", Text),
    Column("role", Text, nullable=False),
    Column("pseudonym", Text, nullable=False),  # empty on the bot's rows
    Column("content", LargeBinary, nullable=False),  # encrypted
    Column("key_id", Text, nullable=False),
    Column("addressed", Text, nullable=False),
    Column("sent_at", UtcTime, nullable=False),
    Column("rule", Text, nullable=False),  # what let it in: bots.policy.Verdict.rule
    Column("wording_id", Text, nullable=False),  # what its author has agreed to; empty on the bot's rows
    Column("model_version", Text),  # on the bot's rows
    Column("kept_at", UtcTime, nullable=False),
    CheckConstraint("role IN ('user', 'bot', 'correction', 'rejected')", name="role"),
    UniqueConstraint("message_id", "role", "pseudonym"),
    Index("ix_training_messages_turn", "turn"),
    Index("ix_training_messages_platform_id", "chat_uuid", "platform_id"),
    Index("ix_training_messages_pseudonym", "pseudonym"),
    Index("ix_training_messages_sent_at", "sent_at"),
    Index("ix_training_messages_key_id", "key_id"),
    sqlite_autoincrement=True,
)

# What people think of the answers among them; gone with the copy of the answer, without which it tells nothing.
training_ratings = Table(
    "training_ratings",
    metadata,
    Column("id", Id, primary_key=True),
    Column("copy_id", Id, ForeignKey("training_messages.id", ondelete="CASCADE"), nullable=False),
    Column("pseudonym", Text, nullable=False),
    Column("source", Text, nullable=False),  # records.FeedbackSource
    Column("score", SmallInteger, nullable=False),
    # As in `feedback`: who takes it back is followed though the row there is gone.
    Column("platform_id", Text),
    Column("given_at", UtcTime, nullable=False),
    Column("rule", Text, nullable=False),  # what let it in: bots.policy.Verdict.rule
    Column("wording_id", Text, nullable=False),  # what the person has agreed to
    Column("kept_at", UtcTime, nullable=False),
    CheckConstraint("score IN (-1, 1)", name="score"),
    UniqueConstraint("copy_id", "pseudonym", "source"),
    Index("ix_training_ratings_pseudonym", "pseudonym"),
    sqlite_autoincrement=True,
)

# Whose words and ratings each model has seen.
lineage = Table(
    "lineage",
    metadata,
    Column("id", Id, primary_key=True),
    Column("model_version", Text, nullable=False),
    Column("pseudonym", Text, nullable=False),
    Column("num_messages", Integer, nullable=False),  # ratings count, too
    Column("noted_at", UtcTime, nullable=False),
    Column("forgotten_at", UtcTime),  # since when that person does not want it any more
    UniqueConstraint("model_version", "pseudonym"),
    Index("ix_lineage_pseudonym", "pseudonym"),
    sqlite_autoincrement=True,
)

plugin_data = Table(
    "plugin_data",
    metadata,
    Column("id", Id, primary_key=True),
    Column("plugin", Text, nullable=False),
    Column("scope", Text, nullable=False),
    Column("owner", Text, nullable=False),  # empty, chats.uuid, or platform/user id, percent-encoded
    Column("key", Text, nullable=False),
    Column("value", LargeBinary, nullable=False),  # encrypted JSON
    Column("key_id", Text, nullable=False),
    Column("updated_at", UtcTime, nullable=False),
    CheckConstraint("scope IN ('plugin', 'chat', 'user')", name="scope"),
    UniqueConstraint("plugin", "scope", "owner", "key"),
    Index("ix_plugin_data_owner", "scope", "owner"),
    Index("ix_plugin_data_key_id", "key_id"),
    sqlite_autoincrement=True,
)

# What a person asks of the programs beside the bot; nothing of what was said.
requests = Table(
    "requests",
    metadata,
    Column("id", Id, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("chat_key", Text, nullable=False),  # ChatRef.key
    Column("user_platform", Text, nullable=False),
    Column("user_id", Text, nullable=False),
    Column("asked_at", UtcTime, nullable=False),
    Column("state", Text, nullable=False),  # records.RequestState
    Column("changed_at", UtcTime, nullable=False),
    Column("note", Text, nullable=False, server_default=""),
    CheckConstraint("state IN ('waiting', 'taken', 'done', 'failed')", name="state"),
    Index("ix_requests_kind", "kind", "state"),
    Index("ix_requests_user", "user_platform", "user_id"),
    sqlite_autoincrement=True,
)

# What those programs have to tell; nothing of what was said.
notices = Table(
    "notices",
    metadata,
    Column("id", Id, primary_key=True),
    Column("text", Text, nullable=False),
    Column("created_at", UtcTime, nullable=False),
    Column("delivered_at", UtcTime),
    sqlite_autoincrement=True,
)
