import json
from pathlib import Path
from typing import Any

import pytest

from finetune.errors import FinetuneError, SourceFileError
from finetune.message import Kind, Role, SourceMessage
from tests.finetune.importing.samples import imported, texts, write

DIALOGUE: dict[str, Any] = {
    "id": "d1",
    "user": "u17",
    "assistant": "w4",
    "author": "a9",
    "turns": [
        {"speaker": "user", "text": "Is it open?", "ts": 1700000000},
        {"speaker": "assistant", "text": "Until six.", "ts": 1700000005.25},
    ],
}
TURNS = {"turns": "turns"}


def said(messages: list[SourceMessage]) -> list[tuple[str, str, str | None, str]]:
    return [(message.id, message.author, message.role, message.text) for message in messages]


def test_a_dialogue_has_two_sides_that_are_people_of_their_own(tmp_path: Path) -> None:
    path = write(tmp_path, "shop.jsonl", [DIALOGUE, DIALOGUE | {"id": "d2"}])
    messages, problems = imported(path, "dialogues", mapping=TURNS, assistant="assistant")
    assert said(messages[:3]) == [
        ("dataset:shop:d1:0", "d1:user", Role.USER, "Is it open?"),
        ("dataset:shop:d1:1", "d1:assistant", Role.ASSISTANT, "Until six."),
        ("dataset:shop:d2:0", "d2:user", Role.USER, "Is it open?"),
    ]
    assert {(message.chat, message.conversation) for message in messages} == {("shop", "d1"), ("shop", "d2")}
    assert problems.count == 0


def test_without_an_assistant_nobody_has_a_role(tmp_path: Path) -> None:
    messages, _ = imported(write(tmp_path, "a.jsonl", [DIALOGUE]), "dialogues", mapping=TURNS)
    assert {message.role for message in messages} == {None}


def test_the_author_of_each_speaker_may_stand_in_a_field_of_the_dialogue(tmp_path: Path) -> None:
    mapping = TURNS | {"author": "{speaker}"}
    messages, _ = imported(write(tmp_path, "a.jsonl", [DIALOGUE]), "dialogues", mapping=mapping)
    assert [message.author for message in messages] == ["u17", "w4"]


def test_one_author_may_have_written_both_sides(tmp_path: Path) -> None:
    mapping = TURNS | {"author": "author"}
    messages, _ = imported(write(tmp_path, "a.jsonl", [DIALOGUE]), "dialogues", mapping=mapping)
    assert [message.author for message in messages] == ["a9", "a9"]


@pytest.mark.parametrize(
    ("time", "sent_at_ms"),
    [
        (1700000000, 1700000000000),
        (1700000000.25, 1700000000250),
        (1700000000250, 1700000000250),
        ("1700000000", 1700000000000),
        ("2023-11-14T22:13:20Z", 1700000000000),
        ("2023-11-14T23:13:20", 1700000000000),
        (None, None),
        ("", None),
    ],
)
def test_times_are_numbers_or_iso_8601(tmp_path: Path, time: Any, sent_at_ms: int | None) -> None:
    path = write(tmp_path, "a.jsonl", [{"text": "x", "time": time}, {"text": "y", "time": 5}])
    messages, problems = imported(path, "dialogues", mapping={"time": "time"}, timezone="Europe/Berlin")
    assert messages[0].sent_at_ms == sent_at_ms
    assert problems.count == 0


def test_times_of_day_begin_on_the_day_of_the_dialogue_and_pass_midnight(tmp_path: Path) -> None:
    turns = [{"text": "x", "t": time} for time in ("9:30", "23:59", "00:01:30")]
    path = write(tmp_path, "a.jsonl", [{"day": "1970-01-02", "turns": turns}])
    messages, _ = imported(path, "dialogues", mapping=TURNS | {"time": "t", "date": "day"})
    hour = 3_600_000
    assert [message.sent_at_ms for message in messages] == [33.5 * hour, 47 * hour + 59 * 60_000, 48 * hour + 90_000]


def test_a_group_chat_has_links_kinds_and_names_and_no_conversations(tmp_path: Path) -> None:
    turns = [
        {"n": 3, "nick": "Ann", "text": "hello", "kind": "message"},
        {"n": 4, "nick": "ben", "text": "joined", "kind": "system"},
        {"n": 5, "nick": "ben", "text": "waves", "kind": "action", "to": [1, 3]},
        {"n": 6, "nick": "ben", "text": "so", "kind": "message", "to": []},
    ]
    mapping = {"turns": "turns", "speaker": "nick", "turn_id": "n", "kind": "kind", "reply_to": "to", "id": "log"}
    path = write(tmp_path, "a.jsonl", [{"log": "monday", "turns": turns}])
    messages, problems = imported(path, "dialogues", mapping=mapping, is_group=True, platform="irc")
    assert [(message.id, message.name, message.kind, message.reply_to) for message in messages] == [
        ("irc:a:monday:3", "Ann", Kind.MESSAGE, None),
        ("irc:a:monday:5", "ben", Kind.ACTION, "irc:a:monday:3"),
        ("irc:a:monday:6", "ben", Kind.MESSAGE, None),
    ]
    assert {(message.chat, message.conversation, message.platform) for message in messages} == {("monday", None, "irc")}
    assert messages[0].author == "ann"
    assert (problems.count, problems.skipped) == (0, {"another kind of turn": 1})


@pytest.mark.parametrize("indent", [None, 2])
def test_one_object_may_hold_all_dialogues_by_key(tmp_path: Path, indent: int | None) -> None:
    dialogues = {key: {"content": [{"message": "hi", "agent": "agent_1"}]} for key in ("t_1", "t_2")}
    path = write(tmp_path, "a.json", json.dumps(dialogues, indent=indent))
    mapping = {"turns": "content", "text": "message", "speaker": "agent"}
    messages, _ = imported(path, "dialogues", mapping=mapping)
    assert [(message.id, message.conversation) for message in messages] == [
        ("dataset:a:t_1:0", "t_1"),
        ("dataset:a:t_2:0", "t_2"),
    ]


@pytest.mark.parametrize("indent", [None, 2])
def test_one_list_may_hold_all_dialogues(tmp_path: Path, indent: int | None) -> None:
    path = write(tmp_path, "a.json", json.dumps([DIALOGUE, DIALOGUE], indent=indent))
    messages, _ = imported(path, "dialogues", mapping=TURNS)
    assert texts(messages) == ["Is it open?", "Until six."] * 2


def test_rows_may_be_single_messages_and_each_a_conversation_of_its_own(tmp_path: Path) -> None:
    path = write(tmp_path, "a.jsonl", [{"text": "one"}, {"text": "two", "id": 0}])
    messages, problems = imported(path, "dialogues")
    assert [(message.id, message.conversation, message.author) for message in messages] == [
        ("dataset:a:1", "1", ""),
        ("dataset:a:0", "0", ""),
    ]
    assert problems.count == 0


def test_a_table_may_hold_messages_and_which_dialogue_they_are_of(tmp_path: Path) -> None:
    table = 'd,who,words\n1,ann,"Hello, you\nthere"\n1,ben,Hi\n2,ann\n'
    mapping = {"conversation": "d", "speaker": "who", "text": "words"}
    messages, problems = imported(write(tmp_path, "a.csv", table), "dialogues", mapping=mapping, assistant="ben")
    assert said(messages) == [
        ("dataset:a:1", "1:ann", Role.USER, "Hello, you\nthere"),
        ("dataset:a:2", "1:ben", Role.ASSISTANT, "Hi"),
    ]
    assert [(problem.place, problem.found) for problem in problems.first] == [("line 5", "2")]


def test_a_table_may_be_divided_by_tabs(tmp_path: Path) -> None:
    messages, _ = imported(write(tmp_path, "a.tsv", "text\tn\nHello, you\t1\n"), "dialogues")
    assert texts(messages) == ["Hello, you"]


def test_rows_that_do_not_fit_are_listed_and_the_others_kept(tmp_path: Path) -> None:
    turns = [{"text": "a"}, {"txt": "b"}, 5, {"text": "c", "ts": "noon"}, {"text": "d"}]
    path = write(tmp_path, "a.jsonl", [{"turns": turns}, {"turn": []}, "x", {"turns": [{"text": "e", "ts": 1}]}])
    messages, problems = imported(path, "dialogues", mapping=TURNS | {"time": "ts"})
    assert texts(messages) == ["a", "d", "e"]
    assert [(problem.place, problem.found) for problem in problems.first] == [
        ("line 1, turn 2", "nothing"),
        ("line 1, turn 3", "a number"),
        ("line 1, turn 4", "a string of 4 characters"),
        ("line 2", "nothing"),
        ("line 3", "a string of 1 character"),
    ]


def test_a_mapping_that_fits_no_row_is_refused_with_the_fields_that_there_are(tmp_path: Path) -> None:
    with pytest.raises(SourceFileError, match=r"its fields are id, user, assistant, author, turns"):
        imported(write(tmp_path, "a.jsonl", [DIALOGUE]), "dialogues", mapping={"turns": "messages"})


def test_a_mapped_field_that_no_row_has_is_pointed_out(tmp_path: Path) -> None:
    path = write(tmp_path, "a.jsonl", [DIALOGUE])
    messages, problems = imported(path, "dialogues", mapping=TURNS | {"time": "tss"})
    assert len(messages) == 2
    assert [problem.expected for problem in problems.first] == ["a field 'tss' for time"]


def test_a_misspelt_part_names_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(FinetuneError, match="did you mean speaker"):
        imported(write(tmp_path, "a.jsonl", [DIALOGUE]), "dialogues", mapping={"speker": "x"})
