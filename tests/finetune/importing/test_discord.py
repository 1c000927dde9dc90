from pathlib import Path
from typing import Any

import pytest

from engine.speakers import Called
from finetune.importing import Problem
from finetune.message import Kind
from tests.finetune.importing.samples import BEN, BOT, discord, discord_message, imported, texts, write


def test_a_message_has_its_place_author_and_time_in_utc(tmp_path: Path) -> None:
    (message,), problems = imported(
        write(tmp_path, "a.json", discord(discord_message(7, "Roses need sun."))), "discord"
    )
    assert (message.id, message.platform, message.chat, message.thread) == ("discord:2:7", "discord", "2", None)
    assert (message.author, message.name, message.is_bot) == ("11", "Ann A.", False)
    assert (message.text, message.sent_at_ms) == ("Roses need sun.", 1709283607500)
    assert problems.count == 0


def test_a_thread_belongs_to_the_chat_of_its_parent_channel(tmp_path: Path) -> None:
    export = discord(discord_message(7, "hello"), id="9", type="GuildPublicThread", categoryId="2")
    (message,), _ = imported(write(tmp_path, "a.json", export), "discord")
    assert (message.id, message.chat, message.thread) == ("discord:9:7", "2", "9")


def test_fractions_of_seconds_are_cut_and_not_rounded(tmp_path: Path) -> None:
    row = discord_message(1, "hi", timestamp="2024-03-01T10:00:00.9999999+00:00")
    (message,), _ = imported(write(tmp_path, "a.json", discord(row)), "discord")
    assert message.sent_at_ms == 1709287200999


@pytest.mark.parametrize(
    ("fields", "kind"),
    [
        ({"type": "Reply"}, Kind.MESSAGE),
        ({"type": 19}, Kind.MESSAGE),
        ({"type": "0"}, Kind.MESSAGE),
        ({"type": "20"}, Kind.COMMAND),
        ({"type": "ChatInputCommand"}, Kind.COMMAND),
        ({"interaction": {"id": "1", "name": "weather"}}, Kind.COMMAND),
        ({"reference": {"type": "Forward", "messageId": "1", "channelId": "2"}}, Kind.FORWARD),
        ({"content": "", "forwardedMessage": {"content": "said elsewhere"}}, Kind.FORWARD),
    ],
)
def test_the_type_of_a_message_says_what_it_is(tmp_path: Path, fields: dict[str, Any], kind: Kind) -> None:
    (message,), _ = imported(write(tmp_path, "a.json", discord(discord_message(1, "hi") | fields)), "discord")
    assert message.kind is kind
    assert message.text


@pytest.mark.parametrize("type", ["GuildMemberJoin", "ChannelPinnedMessage", "ThreadCreated", "Call", "7", 21])
def test_what_discord_says_itself_is_left_out_and_counted(tmp_path: Path, type: str | int) -> None:
    export = discord(discord_message(1, "Joined the server.", type=type), discord_message(2, "hello"))
    messages, problems = imported(write(tmp_path, "a.json", export), "discord")
    assert texts(messages) == ["hello"]
    assert problems.skipped == {"service message": 1}


def test_a_message_with_media_alone_is_left_out_and_counted(tmp_path: Path) -> None:
    export = discord(discord_message(1, "", attachments=[{"id": "1"}]), discord_message(2, "hello"))
    messages, problems = imported(write(tmp_path, "a.json", export), "discord")
    assert texts(messages) == ["hello"]
    assert problems.skipped == {"no text": 1}


def test_a_reply_keeps_its_link_even_if_what_it_answers_is_missing(tmp_path: Path) -> None:
    row = discord_message(7, "yes", type="Reply", reference={"messageId": "3", "channelId": "2"})
    (message,), _ = imported(write(tmp_path, "a.json", discord(row)), "discord")
    assert message.reply_to == "discord:2:3"


@pytest.mark.parametrize("reference", [{"type": "Forward", "channelId": "2"}, {"type": "Default", "channelId": "99"}])
def test_a_forward_and_a_reference_to_another_channel_are_no_replies(tmp_path: Path, reference: dict[str, str]) -> None:
    row = discord_message(7, "news", reference={"messageId": "3", **reference})
    (message,), _ = imported(write(tmp_path, "a.json", discord(row)), "discord")
    assert message.reply_to is None


def test_mentions_are_found_by_name_and_by_id(tmp_path: Path) -> None:
    mentions = [BEN, {"id": "14", "name": "ben b", "nickname": "Ben B."}]
    row = discord_message(1, "@ben and @Ben B., see <@!15>. @bent is nobody.", mentions=mentions)
    (message,), _ = imported(write(tmp_path, "a.json", discord(row)), "discord")
    assert message.pieces == (Called("12"), " and ", Called("14"), ", see ", Called("15"), ". @bent is nobody.")


def test_the_longer_of_two_names_is_called(tmp_path: Path) -> None:
    mentions = [{"id": "1", "name": "Jo", "nickname": "Jo"}, {"id": "2", "name": "Jo Ann", "nickname": "Jo Ann"}]
    row = discord_message(1, "@Jo Ann hi", mentions=mentions)
    (message,), _ = imported(write(tmp_path, "a.json", discord(row)), "discord")
    assert message.pieces == (Called("2"), " hi")


def test_a_bot_is_known_and_is_called_by_its_name_if_it_has_no_nickname(tmp_path: Path) -> None:
    (message,), _ = imported(write(tmp_path, "a.json", discord(discord_message(1, "beep", BOT))), "discord")
    assert (message.name, message.is_bot) == ("helper", True)


def test_bad_rows_are_listed_and_good_ones_kept(tmp_path: Path) -> None:
    rows = [
        discord_message(1, "first"),
        17,
        discord_message(2, "no author", author=None),
        discord_message(3, "no time", timestamp="yesterday"),
        {"type": "Default"},
        discord_message(4, "last"),
    ]
    messages, problems = imported(write(tmp_path, "a.json", discord(*rows)), "discord")
    assert texts(messages) == ["first", "last"]
    assert [(problem.place, problem.found) for problem in problems.first] == [
        ("messages[1]", "a number"),
        ("messages[2]", "nothing"),
        ("messages[3]", "another string"),
        ("messages[4]", "nothing"),
    ]
    assert problems.first[0] == Problem("messages[1]", "an object", "a number")


def test_a_problem_never_quotes_what_somebody_said(tmp_path: Path) -> None:
    export = discord(discord_message(1, "hi"), {"type": "Default", "content": ["my secret"]}, "my secret")
    _, problems = imported(write(tmp_path, "a.json", export), "discord")
    assert problems.count == 2
    assert "secret" not in str(problems.first)
