"""`prepare --explain`: what became of one message, and why; for each stage that can end its way, and for none."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from finetune.__main__ import main
from tests.finetune.importing.samples import telegram, telegram_message
from tests.finetune.workplace import DIALOGUES, Workplace, dialogues, turns

SAID = [
    {"speaker": "ann", "text": "who took the lantern"},
    {"speaker": "ben", "text": "I did, ask me at ben@example.org"},
    {"speaker": "ann", "text": "my password is hunter2!x by the way"},
    {"speaker": "ben", "text": "then the copper one is still here"},
    {"speaker": "ann", "text": "ok"},
]


@pytest.fixture(scope="module")
def prepared(registry: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workplace]:
    """A dataset in which something ends in each stage."""
    folder = tmp_path_factory.mktemp("explaining")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ENGINE_REGISTRY", str(registry))
        patch.setenv("FINETUNE_WORKERS", "1")
        patch.chdir(folder)
        workplace = Workplace(folder)
        fill(workplace)
        workplace.prepare()
        yield workplace


def fill(workplace: Workplace) -> None:
    group = [
        telegram_message(1, "does anybody have a ribbon left", 21),
        telegram_message(2, "a velvet one, come by tomorrow", 22, reply_to_message_id=1),
        telegram_message(3, "/start", 23, text_entities=[{"type": "bot_command", "text": "/start"}]),
    ]
    for name, extra in (
        ("group", []),
        ("later", [telegram_message(4, "thank you, I will", 21, reply_to_message_id=2)]),
    ):
        (workplace.folder / f"{name}.json").write_text(json.dumps(telegram(*group, *extra)))
        assert main(["import", f"{name}.json", "--format", "telegram", "--right", "own"]) == 0
    workplace.imported("talk.jsonl", [{"id": "d", "turns": SAID}])
    workplace.imported("many.jsonl", dialogues(0, 24))
    workplace.imported("copy.jsonl", [row | {"id": f"again {row['id']}"} for row in dialogues(0, 1)])
    monologue = [{"id": f"m{n}", "turns": turns(f"m{n}", 2, ["somebody", "cleo"])} for n in range(60)]
    for row in monologue:
        for turn in row["turns"]:
            turn["who"] = turn["speaker"] if turn["speaker"] == "cleo" else f"{row['id']}"
    workplace.imported("cleo.jsonl", monologue, *DIALOGUES, "--map", "author=who")


Explained = Callable[[str], str]


@pytest.fixture
def explained(prepared: Workplace, capsys: pytest.CaptureFixture[str]) -> Explained:
    def explain(id: str) -> str:
        assert main(["prepare", "--explain", id]) == 0
        captured = capsys.readouterr()
        assert captured.err == ""
        assert captured.out.startswith(f"{id} in dataset ")
        return captured.out

    return explain


def test_a_message_that_is_learnt_is_followed_to_its_example(explained: Explained, prepared: Workplace) -> None:
    (split, example) = next(
        (split, example)
        for split in ("train", "validation", "test")
        for example in prepared.examples(split)
        if "dataset:talk:d:1" in example.message_ids
    )
    said = explained("dataset:talk:d:1")
    assert "  personal     changed: personal data (1 EMAIL)\n" in said
    assert f"is in conversation dataset:talk:d:0, for {split}\n  is to be learnt; known by: source\n" in said
    assert f"is in example {example.id} of {split}\n" in said
    assert "goes no further" not in said


def test_a_first_message_is_context(explained: Explained) -> None:
    assert "is context; known by: root" in explained("dataset:talk:d:0")


@pytest.mark.parametrize(
    ("id", "line"),
    [
        ("telegram:5:3", "normalise    dropped: command"),
        ("dataset:talk:d:2", "secrets      dropped: secret (password said)"),
        (  # without times, the one whose name comes first stays
            "dataset:many:d0:0",
            "duplicates   dropped: near duplicate (of the conversation that begins with dataset:copy:again d0:0)",
        ),
    ],
)
def test_a_message_that_is_dropped_ends_there(explained: Explained, id: str, line: str) -> None:
    said = explained(id)
    assert said.endswith(f"  {line}\n  and goes no further\n"), said


def test_an_answer_that_is_not_worth_learning_stays_as_context_or_ends_with_its_conversation(
    explained: Explained,
) -> None:
    said = explained("dataset:talk:d:4")
    assert "  quality      changed: too short (one word, and not to a question)\n" in said
    assert "is context" in said


def test_an_answer_over_its_author_s_share_is_told_of(explained: Explained, prepared: Workplace) -> None:
    rows = prepared.runs.run(prepared.dataset().run).rows("caps", "fates")
    capped = {row["id"] for row in rows if row["reason"] == "author cap"}
    assert capped
    assert all(id.startswith("dataset:cleo:") for id in capped)
    said = explained(min(capped))
    assert "  caps         changed: author cap (newer answers of the same person are its share already)\n" in said


def test_a_message_in_two_imports_goes_on_once(explained: Explained) -> None:
    said = explained("telegram:5:2")
    assert "  gather       dropped: imported twice (an earlier import has it, too)\n  from telegram-" in said
    assert "is to be learnt; known by: reply" in said
    assert "goes no further" not in said


def test_a_message_that_may_not_be_trained_on_is_not_quoted(
    workplace: Workplace, explained: Explained, capsys: pytest.CaptureFixture[str]
) -> None:
    (workplace.folder / "group.json").write_text(json.dumps(telegram(telegram_message(1, "secretly said"))))
    assert main(["import", "group.json", "--format", "telegram", "--right", "consent:forms"]) == 0
    workplace.imported("talk.jsonl", [{"id": "d", "turns": SAID}])
    workplace.prepare()
    capsys.readouterr()
    said = explained("telegram:5:1")
    assert "gather       dropped: not permitted (Telegram's terms are not confirmed" in said
    assert said.endswith("and goes no further\n")
    assert "secretly" not in said


@pytest.mark.parametrize("id", ["dataset:talk:d:99", "", "nonsense", "telegram:5"])
def test_an_unknown_message_gives_one_line(prepared: Workplace, capsys: pytest.CaptureFixture[str], id: str) -> None:
    assert main(["prepare", "--explain", id]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith(f"error: no message {id}".rstrip())
    assert captured.err.count("\n") == 1


def test_before_any_dataset_there_is_nothing_to_explain(workplace: Workplace, capsys: Any) -> None:
    assert main(["prepare", "--explain", "1"]) == 1
    assert capsys.readouterr().err == "error: there is no dataset yet; make one with: python -m finetune prepare\n"
