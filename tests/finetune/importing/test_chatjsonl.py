import json
from pathlib import Path

import pytest

from finetune.message import Role
from tests.finetune.importing.samples import imported, texts, write

ROW = {
    "messages": [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Name a tree."},
        {"role": "assistant", "content": "Oak."},
    ]
}
SHARED = {
    "id": "c7",
    "conversations": [{"from": "human", "value": "Name a bird."}, {"from": "gpt", "value": "Wren."}],
}


def test_a_row_is_a_conversation_with_its_roles(tmp_path: Path) -> None:
    messages, problems = imported(write(tmp_path, "trees.jsonl", [ROW, ROW]), "openai")
    assert [message.role for message in messages[:3]] == [Role.SYSTEM, Role.USER, Role.ASSISTANT]
    assert [message.id for message in messages[2:4]] == ["dataset:trees:1:2", "dataset:trees:2:0"]
    assert {(message.chat, message.conversation) for message in messages} == {("trees", "1"), ("trees", "2")}
    assert (messages[1].author, messages[2].author, messages[1].name) == ("1:user", "1:assistant", "")
    assert problems.count == 0


def test_several_files_of_one_chat_have_ids_of_their_own(tmp_path: Path) -> None:
    ids = [imported(write(tmp_path, name, [ROW]), "openai", chat="trees")[0][0].id for name in ("a.jsonl", "b.jsonl")]
    assert ids == ["dataset:trees:a:1:0", "dataset:trees:b:1:0"]


def test_content_in_parts_is_joined_and_pictures_are_left_out(tmp_path: Path) -> None:
    content = [
        {"type": "text", "text": "What "},
        {"type": "image_url", "image_url": {}},
        {"type": "text", "text": "is it?"},
    ]
    messages, _ = imported(write(tmp_path, "a.jsonl", [{"messages": [{"role": "user", "content": content}]}]), "openai")
    assert texts(messages) == ["What is it?"]


def test_turns_of_tools_are_left_out_and_counted(tmp_path: Path) -> None:
    turns = [
        {"role": "user", "content": "Weather?"},
        {"role": "assistant", "content": None, "tool_calls": [{"id": "1"}]},
        {"role": "tool", "content": "{}"},
        {"role": "assistant", "content": "Rain."},
    ]
    messages, problems = imported(write(tmp_path, "a.jsonl", [{"messages": turns}]), "openai")
    assert texts(messages) == ["Weather?", "Rain."]
    assert problems.skipped == {"no text": 1, "of a tool": 1}
    assert problems.count == 0


def test_a_weight_of_zero_is_pointed_out(tmp_path: Path) -> None:
    turn = {"role": "assistant", "content": "Oak.", "weight": 0}
    messages, problems = imported(write(tmp_path, "a.jsonl", [{"messages": [turn]}]), "openai")
    assert texts(messages) == ["Oak."]
    assert (problems.first[0].place, problems.first[0].found) == ("line 1, turn 1", "weight 0")


@pytest.mark.parametrize("is_list", [False, True])
def test_sharegpt_comes_as_lines_and_as_a_list(tmp_path: Path, is_list: bool) -> None:
    content = json.dumps([SHARED]) if is_list else json.dumps(SHARED)
    messages, problems = imported(write(tmp_path, "birds.json", content), "sharegpt")
    assert [(message.id, message.role, message.text) for message in messages] == [
        ("dataset:birds:c7:0", Role.USER, "Name a bird."),
        ("dataset:birds:c7:1", Role.ASSISTANT, "Wren."),
    ]
    assert problems.count == 0


def test_a_system_prompt_beside_the_turns_comes_first(tmp_path: Path) -> None:
    messages, _ = imported(write(tmp_path, "a.jsonl", [SHARED | {"system": "Be brief."}]), "sharegpt")
    assert [message.role for message in messages] == [Role.SYSTEM, Role.USER, Role.ASSISTANT]


def test_bad_lines_are_listed_and_good_ones_kept(tmp_path: Path) -> None:
    lines = [json.dumps(ROW), "{", "", "[]", json.dumps({"messages": 5}), "[" * 100_000, json.dumps(ROW)]
    messages, problems = imported(write(tmp_path, "a.jsonl", "\n".join(lines)), "openai")
    assert len(messages) == 6
    assert [problem.place for problem in problems.first] == ["line 2", "line 4", "line 5", "line 6"]


def test_a_bad_turn_does_not_take_the_others_with_it(tmp_path: Path) -> None:
    turns = [{"role": "user", "content": "a"}, {"role": "wizard", "content": "b"}, "c", {"role": "user", "content": 4}]
    messages, problems = imported(write(tmp_path, "a.jsonl", [{"messages": turns}]), "openai")
    assert texts(messages) == ["a"]
    assert [problem.place for problem in problems.first] == ["line 1, turn 2", "line 1, turn 3", "line 1, turn 4"]
