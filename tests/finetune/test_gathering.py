"""Gathering: each message once, in order, and only what may be trained on today."""

import io
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from bots.chatlog import FileCipher
from exporters.progress import Progress
from finetune.gathering import Source, Speaker, by_chat, by_place, gather, in_order
from finetune.message import SourceMessage
from finetune.stages import Done, Run, Stage


def message(
    id: str, text: str = "hello", *, chat: str = "chat", ms: int | None = None, thread: str | None = None
) -> SourceMessage:
    return SourceMessage(id, "test", chat, "ann", (text,), sent_at_ms=ms, thread=thread)


def gathered(
    folder: Path, cipher: FileCipher, sources: Sequence[Source]
) -> tuple[list[SourceMessage], Done, list[str]]:
    run = Run(folder, cipher)
    stage = Stage("gather", 1, (), ("gathered", "people"), "messages", partial(gather, sources=sources), {})
    (done,) = run.carry_out([stage], Progress(1, io.StringIO()))
    fates = [f"{row['id']} {row['reason']}" for row in run.rows("gather", "fates")]
    return [SourceMessage.from_json(row) for row in run.rows("gather", "gathered")], done, fates


def test_messages_of_all_sources_come_by_chat_thread_and_time(tmp_path: Path, cipher: FileCipher) -> None:
    one = [message("1", ms=5), message("2", chat="b"), message("3", ms=1), message("4", thread="t", ms=0)]
    two = [message("5", ms=3), message("6", chat="a", ms=9)]
    messages, done, _ = gathered(tmp_path, cipher, [Source("log", one), Source("file", two)])
    assert [each.id for each in messages] == ["6", "2", "3", "5", "1", "4"]
    assert (done.went_in, done.came_out, done.dropped) == (6, 6, {})


def test_what_has_no_time_stays_in_the_order_in_which_it_came_before_what_has_one() -> None:
    messages = [message("1", ms=5), message("2"), message("3", ms=1), message("4")]
    assert [each.id for each in in_order(messages)] == ["2", "4", "3", "1"]


def test_what_is_not_permitted_is_counted_by_message_and_its_words_go_nowhere(
    tmp_path: Path, cipher: FileCipher
) -> None:
    refused = Source("no", [message("1", "secretly"), message("2", "secretly")], "set THIS")
    sources = [refused, Source("yes", [message("3")])]
    messages, done, fates = gathered(tmp_path, cipher, sources)
    assert [each.id for each in messages] == ["3"]
    assert (done.went_in, done.came_out, done.dropped) == (3, 1, {"not permitted": 2})
    assert fates == ["1 not permitted", "2 not permitted"]
    assert not any("secretly" in str(row) for row in Run(tmp_path, cipher).rows("gather", "fates"))


def test_of_a_message_in_two_imports_the_first_counts_that_may_be_trained_on(
    tmp_path: Path, cipher: FileCipher
) -> None:
    sources = [
        Source("no", [message("1", "refused")], "set THIS"),
        Source("one", [message("1", "first")]),
        Source("two", [message("1", "second"), message("2")]),
    ]
    messages, done, fates = gathered(tmp_path, cipher, sources)
    assert [each.text for each in messages] == ["first", "hello"]
    assert done.dropped == {"not permitted": 1, "imported twice": 1}
    assert fates == ["1 not permitted", "1 imported twice"]


def test_messages_are_taken_apart_by_chat_and_thread() -> None:
    messages = [message("1"), message("2"), message("3", thread="t"), message("4", chat="b"), message("5", chat="b")]
    assert [[each.id for each in chat] for chat in by_chat(messages)] == [["1", "2"], ["3"], ["4", "5"]]
    assert list(by_chat([])) == []


def test_who_speaks_in_a_chat_or_its_threads_is_told_once_but_not_who_is_not_permitted(
    tmp_path: Path, cipher: FileCipher
) -> None:
    ann, ben = replace(message("1"), name="Ann"), replace(message("2"), author="ben", name="Ben")
    permitted = [ann, replace(ann, id="3", thread="t"), ben, replace(ben, id="4", name="Benno"), message("5")]
    refused = Source("no", [replace(message("6"), author="cleo", name="Cleo")], "set THIS")
    gathered(tmp_path, cipher, [refused, Source("yes", permitted)])
    people = [Speaker.from_json(row) for row in Run(tmp_path, cipher).rows("gather", "people")]
    assert len(people) == 3
    assert by_place(people) == {("test", "chat"): {"ann": ["Ann"], "ben": ["Ben", "Benno"]}}
