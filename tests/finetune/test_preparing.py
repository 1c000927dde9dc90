"""`prepare`: the same chats give the same dataset, and what may not be learnt today is nowhere in it."""

import asyncio
import json
import re
import shutil
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from finetune.__main__ import main
from tests.bots.chatlog.chatlog_samples import CHAT, CONFIRMED, answer, ask, decide
from tests.finetune.importing.samples import discord, discord_message, telegram, telegram_message
from tests.finetune.workplace import DIALOGUES, Workplace, dialogues, turns

TIMED = (*DIALOGUES, "--map", "time=time")
START_S = 1_700_000_000
SECRET = "xylophone"


def manifests(workplace: Workplace) -> dict[str, int]:
    """When each stage of the newest run was done."""
    folder = workplace.folder / "runs" / workplace.dataset().run
    return {path.parent.name: path.stat().st_mtime_ns for path in folder.glob("*/manifest.json")}


def rows_on_disk(workplace: Workplace) -> set[str]:
    """The runs that hold texts."""
    return {path.parent.parent.name for path in (workplace.folder / "runs").glob("*/*/*.rows")}


# The same everywhere


SCRIPT = """
import sys
from finetune.__main__ import main
if __name__ == "__main__":
    for command in sys.argv[1:]:
        if main(command.split()):
            sys.exit(1)
"""


def fill_folder(folder: Path) -> dict[str, str]:
    """Files to import, and the commands that do it."""
    workplace = Workplace(folder)
    folder.mkdir(parents=True)
    (folder / "all.py").write_text(SCRIPT)
    workplace.write("talk.jsonl", dialogues(0, 150, time_s=START_S))
    workplace.write("copies.jsonl", dialogues(140, 30))
    mail = [
        {"speaker": "ann", "text": "mail ben@example.org \u00e9 \u0130"},
        {"speaker": "ben", "text": "ring 030 901820"},
    ]
    workplace.write("mixed.jsonl", [{"id": f"x{n}", "turns": mail + turns(f"x{n}", 3)} for n in range(30)])
    group = [telegram_message(n, f"the {n}th basket", 20 + n % 3, reply_to_message_id=n - 1) for n in range(2, 30)]
    (folder / "group.json").write_text(json.dumps(telegram(telegram_message(1, "@ann a basket"), *group)))
    mapped = "--format dialogues --map turns=turns --right own"
    return {
        "talk": f"import talk.jsonl {mapped} --map time=time",
        "copies": f"import copies.jsonl {mapped}",
        "mixed": f"import mixed.jsonl {mapped} --assistant ben",
        "group": "import group.json --format telegram --right own",
    }


def test_the_same_chats_give_the_same_dataset_on_any_machine(workplace: Workplace, tmp_path: Path) -> None:
    machines: list[tuple[Path, list[str], Mapping[str, str]]] = [
        (
            tmp_path / "one",
            ["talk", "copies", "mixed", "group"],
            {"PYTHONHASHSEED": "1", "TZ": "Asia/Tokyo", "LC_ALL": "C", "FINETUNE_WORKERS": "1"},
        ),
        (
            tmp_path / "a longer path" / "two",
            ["group", "mixed", "copies", "talk"],
            {
                "PYTHONHASHSEED": "2",
                "TZ": "America/New_York",
                "LC_ALL": "tr_TR.UTF-8",
                "FINETUNE_WORKERS": "2",
                "FINETUNE_RUNS": "elsewhere/runs",
                "OMP_NUM_THREADS": "1",
            },
        ),
    ]
    processes = []
    for folder, order, environment in machines:
        commands = fill_folder(folder)
        arguments = [commands[name] for name in order]
        processes.append(Workplace(folder).command("all.py", *arguments, "prepare", env=environment))
    for process in processes:
        _, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors
    (machines[1][0] / "elsewhere" / "runs").rename(machines[1][0] / "runs")
    one, two = (Workplace(folder) for folder, _, _ in machines)
    assert one.dataset().sha256 == two.dataset().sha256
    assert one.dataset() == two.dataset()  # in all figures, too
    assert one.parts() == two.parts()
    assert one.everything() == two.everything()
    assert one.cipher.seal("a", b"b") != two.cipher.seal("a", b"b")
    assert all(one.parts()[part] for part in ("train", "validation", "test"))


def test_what_is_done_is_not_done_again(workplace: Workplace, capsys: pytest.CaptureFixture[str]) -> None:
    workplace.imported("talk.jsonl", dialogues(0, 40, time_s=START_S), *TIMED)
    first, before = workplace.prepare(), workplace.parts()
    workplace.prepare()  # now the test is frozen, which the split goes by
    done = manifests(workplace)
    capsys.readouterr()
    assert main(["prepare"]) == 0
    again = workplace.dataset()
    assert manifests(workplace) == done
    assert (again.run, again.sha256) == (first.run, first.sha256)
    assert workplace.parts() == before
    stages = re.findall(r"^\[\d+/17\] (.*) \.\.\.$", capsys.readouterr().err, re.MULTILINE)
    assert stages == ["read the chat log", "write the report"]


def test_a_lost_part_of_a_dataset_is_made_again(workplace: Workplace, capsys: pytest.CaptureFixture[str]) -> None:
    workplace.imported("talk.jsonl", dialogues(0, 20))
    first = workplace.prepare()
    assert main(["report"]) == 0
    folder = workplace.folder / "runs" / first.run
    damaged = folder / "mix" / "train.rows"
    damaged.write_bytes(damaged.read_bytes()[:-1])
    capsys.readouterr()
    assert main(["prepare"]) == 1
    error = capsys.readouterr().err.splitlines()[-1]
    assert re.fullmatch(r"error: .*mix/train\.rows breaks off .*remove it and run the same command again", error)
    damaged.unlink()
    assert workplace.prepare().sha256 == first.sha256


# What may not be learnt


def test_a_permission_that_is_taken_back_takes_the_words_with_it(
    workplace: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = [discord_message(n, f"{SECRET} number {n} in the garden", {"id": str(n % 2)}) for n in range(10, 16)]
    (workplace.folder / "roses.json").write_text(json.dumps(discord(*said)))
    assert main(["import", "roses.json", "--format", "discord", "--right", "platform-permission:case 7"]) == 0
    workplace.imported("talk.jsonl", dialogues(0, 20))
    monkeypatch.setenv("POLICY_DISCORD_PERMISSION", "case 7")
    first = workplace.prepare()
    assert first.stage("gather").dropped == {}
    assert SECRET in workplace.everything()
    monkeypatch.delenv("POLICY_DISCORD_PERMISSION")
    second = workplace.prepare()
    assert second.stage("gather").dropped == {"not permitted": 6}
    assert second.stage("gather").came_out == 80
    assert SECRET not in workplace.everything()
    assert rows_on_disk(workplace) == {second.run}
    (source,) = [source for source in workplace.report().sources if source.platform == "discord"]
    assert "POLICY_DISCORD_PERMISSION" in source.note


def test_consent_on_telegram_does_nothing_until_its_terms_are_confirmed(
    workplace: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    (workplace.folder / "group.json").write_text(json.dumps(telegram(telegram_message(1, f"a {SECRET}"))))
    assert main(["import", "group.json", "--format", "telegram", "--right", "consent:forms"]) == 0
    first = workplace.prepare()
    assert first.stage("gather").dropped == {"not permitted": 1}
    assert SECRET not in workplace.everything()
    monkeypatch.setenv("POLICY_TELEGRAM_CONFIRMED", "true")
    assert workplace.prepare().stage("gather").dropped == {}
    assert SECRET in workplace.everything()


def test_a_removed_import_is_in_no_dataset_any_more(workplace: Workplace) -> None:
    workplace.imported("talk.jsonl", dialogues(0, 20))
    workplace.imported(
        "gone.jsonl", [{"id": "x", "turns": [*turns("x", 3), {"speaker": "ann", "text": f"a {SECRET}"}]}]
    )
    first = workplace.prepare()
    assert SECRET in workplace.everything()
    assert main(["remove", "gone"]) == 0
    second = workplace.prepare()
    assert second.run != first.run
    assert rows_on_disk(workplace) == {second.run}
    assert SECRET not in workplace.everything()
    assert all(row["source"] != "gone" for row in workplace.parts()["train"])


def test_once_nothing_is_left_to_train_on_nothing_is_kept_of_what_was(
    workplace: Workplace, capsys: pytest.CaptureFixture[str]
) -> None:
    workplace.imported("talk.jsonl", dialogues(0, 20))
    assert main(["prepare"]) == 0
    assert main(["remove", "talk"]) == 0
    capsys.readouterr()
    assert main(["prepare"]) == 1
    assert capsys.readouterr().err.splitlines()[-1].startswith("error: there is nothing to train on: nobody has agreed")
    assert rows_on_disk(workplace) == set()
    assert not (workplace.folder / "data" / "report.html").exists()
    assert main(["report"]) == 1


def test_a_forgotten_author_is_in_no_later_dataset(workplace: Workplace, capsys: pytest.CaptureFixture[str]) -> None:
    said = [telegram_message(n, f"{'violet' if n % 2 else 'basil'} number {n}", 21 + n % 2) for n in range(10, 20)]
    mention = {"type": "mention_name", "text": "Violetta", "user_id": 22}
    said.append(telegram_message(20, ["ask ", mention, " then"], 23))
    (workplace.folder / "group.json").write_text(json.dumps(telegram(*said)))
    assert main(["import", "group.json", "--format", "telegram", "--right", "own"]) == 0
    workplace.prepare()
    assert "violet" in workplace.everything()
    capsys.readouterr()
    assert main(["forget", "telegram", "user22"]) == 0
    assert ": 5 messages are removed" in capsys.readouterr().out
    workplace.prepare()
    for word in ("violet", "user22", "Person 22", "Violetta"):
        assert word not in workplace.everything(), word
    assert "basil" in workplace.everything()


def test_who_was_forgotten_does_not_come_back_with_the_same_file(
    workplace: Workplace, capsys: pytest.CaptureFixture[str]
) -> None:
    said = [("Hazel", "a violet for all"), ("ann", "Hazel: thanks"), ("ben", "yes, Hazel is kind"), ("ann", "is it?")]
    lines = [f"[10:0{n}] <{name}> {text}" for n, (name, text) in enumerate(said)]
    (workplace.folder / "roses.log").write_text("\n".join(lines) + "\n")
    command = ("import", "roses.log", "--format", "irc", "--right", "own", "--date", "2024-01-01")
    assert main([*command, "--name", "roses"]) == 0
    capsys.readouterr()
    assert main(["forget", "irc", "Hazel"]) == 0
    assert "Hazel: remembered as forgotten" in capsys.readouterr().out
    assert main([*command, "--name", "again", "--chat", "elsewhere"]) == 0
    assert "left out: 1 forgotten before" in capsys.readouterr().out
    workplace.prepare()
    for word in ("hazel", "violet"):
        assert word not in workplace.everything().lower(), word
    assert "is kind" in workplace.everything()


def test_nobody_s_name_is_learnt_though_all_that_they_said_was_dropped_or_said_outside_the_thread(
    workplace: Workplace,
) -> None:
    opened = {"id": 2, "type": "service", "action": "topic_created", "title": "bees", "date": "2024-03-01T10:00:00"}
    said = [
        telegram_message(1, "look at what they say", 21, **{"from": "Hazel", "forwarded_from": "News"}),
        telegram_message(3, "there are bees in the garden", 22, **{"from": "Rowan"}),
        telegram_message(4, "I saw Hazel and Rowan there", 23, reply_to_message_id=2),
        telegram_message(5, "so did I, and Hazel was glad", 24, reply_to_message_id=4),
        telegram_message(6, "they told Hazel of a hive", 23, reply_to_message_id=3),
        telegram_message(7, "a hive with bees and honey", 22, reply_to_message_id=6, **{"from": "Rowan"}),
    ]
    (workplace.folder / "group.json").write_text(json.dumps(telegram(opened, *said)))
    assert main(["import", "group.json", "--format", "telegram", "--right", "own"]) == 0
    dataset = workplace.prepare()
    assert dataset.stage("names").went_in == dataset.stage("names").came_out == 5
    learnt = json.dumps(list(workplace.parts().values()))
    assert "was glad" in learnt
    for name in ("Hazel", "Rowan"):
        assert name not in learnt


# The chat log


async def talk(workplace: Workplace, first: int, number: int, *, is_granted: bool = True) -> None:
    async with workplace.log(CONFIRMED) as log:
        await decide(log, is_granted)
        for n in range(first, first + number):
            row_id = await ask(log, 10 * n, f"what of the {SECRET} {n}?", time=log.now())
            await answer(log, [row_id], f"it is in cupboard {n}", post=10 * n + 1, chat=CHAT)


def test_what_people_say_to_the_bot_is_learnt_from_while_they_agree(
    workplace: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    asyncio.run(talk(workplace, 1, 3))
    workplace.imported("talk.jsonl", dialogues(0, 20))
    workplace.prepare()
    assert SECRET not in workplace.everything()  # the operator has not confirmed Telegram's terms
    monkeypatch.setenv("POLICY_TELEGRAM_CONFIRMED", "true")
    workplace.prepare()
    assert SECRET in workplace.everything()
    asyncio.run(talk(workplace, 4, 1, is_granted=False))
    workplace.prepare()
    assert SECRET not in workplace.everything()


def test_the_chat_log_alone_is_enough(workplace: Workplace, monkeypatch: pytest.MonkeyPatch) -> None:
    asyncio.run(talk(workplace, 1, 2))
    monkeypatch.setenv("POLICY_TELEGRAM_CONFIRMED", "true")
    dataset = workplace.prepare()
    assert dataset.stage("gather").went_in == 4
    assert dataset.inputs["sources"]["imports"] == []


# The frozen test


def conversations(workplace: Workplace, part: str) -> set[str]:
    return {example.conversation for example in workplace.examples(part)}


def test_what_is_in_the_test_stays_there_when_new_chats_come_in_and_is_never_learnt(workplace: Workplace) -> None:
    workplace.imported("talk.jsonl", dialogues(0, 60, time_s=START_S), *TIMED)
    workplace.prepare()
    tested, learnt = conversations(workplace, "test"), conversations(workplace, "learnt")
    assert len(tested) == 6
    for number in (1, 2):
        first = 60 * number
        workplace.imported(f"more{number}.jsonl", dialogues(first, 60, time_s=START_S), *TIMED)
        workplace.prepare()
        assert conversations(workplace, "test") > tested
        tested, learnt = conversations(workplace, "test"), learnt | conversations(workplace, "learnt")
        assert len(tested) == 6 * (number + 1)
        assert tested.isdisjoint(learnt | conversations(workplace, "validation"))
    assert main(["remove", "more1"]) == 0
    workplace.prepare()
    assert conversations(workplace, "test") == {key for key in tested if "more1" not in key}


def test_the_test_is_large_enough_again_once_many_were_forgotten_and_others_have_come(workplace: Workplace) -> None:
    def pairs(name: str) -> list[dict[str, Any]]:
        """Dialogues of two of twelve people."""
        rows = [{"id": f"{name}{n}", "turns": turns(f"{name}{n}", 2)} for n in range(620)]
        for n, row in enumerate(rows):
            for place, turn in enumerate(row["turns"]):
                turn["author"] = f"{name} {(n + place) % 12}"
        return rows

    def is_enough_held_out() -> bool:
        (check,) = [check for check in workplace.report().checks if check.name == "conversations held out"]
        return check.is_ok

    workplace.imported("talk.jsonl", pairs("ann"), *DIALOGUES, "--map", "author=author")
    workplace.prepare()
    first, learnt = conversations(workplace, "test"), conversations(workplace, "learnt")
    assert is_enough_held_out()
    for number in (2, 6, 10):
        assert main(["forget", "dataset", f"ann {number}"]) == 0
    workplace.prepare()
    left = conversations(workplace, "test")
    learnt |= conversations(workplace, "learnt")
    assert not is_enough_held_out()
    assert len(left & first) < 40
    workplace.imported("more.jsonl", pairs("ben"), *DIALOGUES, "--map", "author=author")
    workplace.prepare()
    second = conversations(workplace, "test")
    assert is_enough_held_out()
    assert left < second
    assert not second & learnt


def test_what_a_dataset_is_like_hangs_on_the_test_that_was_frozen_before_and_says_so(
    workplace: Workplace, tmp_path: Path
) -> None:
    first, second = dialogues(0, 60, time_s=START_S), dialogues(60, 60, time_s=START_S)
    workplace.imported("talk.jsonl", first, *TIMED)
    workplace.prepare()
    workplace.imported("more.jsonl", second, *TIMED)
    in_two = workplace.prepare()
    (workplace.folder / "runs" / "frozen.rows").unlink()
    for folder in (workplace.folder / "runs").iterdir():
        if folder.is_dir():
            shutil.rmtree(folder)
    at_once = workplace.prepare()
    assert at_once.run == in_two.run
    assert at_once.sha256 != in_two.sha256
    other = {name for name in at_once.inputs if at_once.inputs[name] != in_two.inputs[name]}
    assert other == {"frozen_test"}
    again = workplace.prepare()
    assert (again.sha256, again.inputs) == (at_once.sha256, at_once.inputs)


def test_the_largest_author_is_the_one_of_what_is_really_learnt(
    workplace: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not of answers that the model has no room for, nor of those that judge."""
    monkeypatch.setenv("FINETUNE_MAX_EXAMPLE_TOKENS", "256")
    rows = [{"id": f"d{n}", "turns": turns(f"d{n}", 4, ("cem", f"author {n % 8}"))} for n in range(40)]
    long = [{"speaker": "ann", "text": "and then?"}, {"speaker": "ben", "text": " ".join(map(str, range(500, 600)))}]
    workplace.imported("talk.jsonl", [*rows, {"id": "long", "turns": long}])
    dataset = workplace.prepare()
    assert dataset.stage("examples").dropped == {"no example": 1}
    learnt = Counter[str]()
    for example in workplace.examples("learnt"):
        learnt[example.authors[0]] += sum(len(target.encode()) for target in example.targets)
    (check,) = [c for c in workplace.report().checks if c.name == "largest author's share"]
    assert check.value == f"{max(learnt.values()) / learnt.total():.1%}"
    (check,) = [c for c in workplace.report().checks if c.name == "authors to learn from"]
    assert check.value == f"{len(learnt)}"


def test_a_few_conversations_are_all_learnt_and_nothing_is_frozen_yet(workplace: Workplace) -> None:
    workplace.imported("talk.jsonl", dialogues(0, 5))
    workplace.prepare()
    assert workplace.examples("test") == workplace.examples("validation") == []
    workplace.imported("more.jsonl", dialogues(5, 60))
    workplace.prepare()
    assert workplace.examples("test")


# The report


def test_every_figure_adds_up_when_messages_end_everywhere(workplace: Workplace) -> None:
    long = "the lantern by the river and the copper one by the bridge in the garden behind the orchard "
    odd = [
        [("ann", "just this")],
        [("ann", "mail me: ann@example.org"), ("ben", "ok")],
        [("ann", "my password is hunter2!x"), ("ben", "keep it for yourself then")],
        [("ann", long * 40), ("ben", "that was long, was it not")],
        [("ann", "\u200b \u200b"), ("ben", "https://example.org/a/b")],
    ]
    rows = [
        {"id": f"odd{n}", "turns": [{"speaker": who, "text": text} for who, text in said]} for n, said in enumerate(odd)
    ]
    workplace.imported("odd.jsonl", rows)
    workplace.imported("talk.jsonl", dialogues(0, 30))
    workplace.imported("again.jsonl", [row | {"id": f"again{row['id']}"} for row in dialogues(0, 30)])
    dataset = workplace.prepare()  # asserts that it adds up
    assert dataset.stage("examples").dropped == {"no example": 1}
    assert dataset.stage("duplicates").dropped == {"near duplicate": 30}
    checks = {check.name: check for check in workplace.report().checks}
    assert checks["secrets in a second look"].is_ok
    assert checks["conversations in two splits"].is_ok


def test_what_has_no_answer_to_begin_with_is_not_held_against_quality(workplace: Workplace) -> None:
    workplace.imported(
        "talk.jsonl", [*dialogues(0, 20), *({"id": f"m{n}", "turns": turns(f"m{n}", 1)} for n in range(80))]
    )
    workplace.prepare()
    (check,) = [c for c in workplace.report().checks if c.name == "taken by quality and duplicates"]
    assert (check.value, check.is_ok) == ("0.0%", True)


def test_the_report_is_its_owner_s_and_quotes_no_personal_data(
    workplace: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = [
        {"speaker": s, "text": f"{w} mail ben@example.org or 030 901820"} for s, w in (("ann", SECRET), ("ben", "do"))
    ]
    workplace.imported("talk.jsonl", [{"id": "x", "turns": said}, *dialogues(0, 20)])
    report = workplace.folder / "data" / "report.html"
    report.write_text("an earlier one that all may read")
    report.chmod(0o644)
    assert main(["prepare"]) == 0
    assert report.stat().st_mode & 0o777 == 0o600
    page = report.read_text(encoding="utf-8")
    assert SECRET in page
    assert "&lt;EMAIL&gt;" in page
    for word in ("ben@example.org", "901820", "example.org"):
        assert word not in page, word
    monkeypatch.setenv("FINETUNE_REPORT_SAMPLES", "0")
    assert main(["report"]) == 0
    page = report.read_text(encoding="utf-8")
    assert SECRET not in page
    assert page.startswith("<!")


def test_the_same_dataset_has_the_same_report(workplace: Workplace) -> None:
    workplace.imported("talk.jsonl", dialogues(0, 20))
    assert main(["prepare"]) == 0
    report = workplace.folder / "data" / "report.html"
    before = report.read_bytes()
    assert main(["report"]) == 0
    assert report.read_bytes() == before


# Nothing to work with


def test_without_any_chat_there_is_one_line(workplace: Workplace, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["prepare"]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.splitlines()[-1] == (
        "error: there is nothing to train on: nobody has agreed to it in chats yet (see `python -m bots.chatlog "
        "policy`), and nothing is imported (see `python -m finetune import --help`)"
    )


def test_chats_of_which_nothing_is_left_give_an_empty_dataset(workplace: Workplace) -> None:
    workplace.imported("talk.jsonl", [{"id": "x", "turns": [{"speaker": "ann", "text": "my password is hunter2!x"}]}])
    dataset = workplace.prepare()
    assert dataset.stage("secrets").dropped == {"secret": 1}
    assert all(row["source"] == "canary" for row in workplace.parts()["train"])


def test_without_a_model_there_is_one_line(
    workplace: Workplace, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ENGINE_REGISTRY", "models")
    workplace.imported("talk.jsonl", dialogues(0, 3))
    assert main(["prepare"]) == 1
    assert capsys.readouterr().err.splitlines()[-1] == (
        "error: models has no model yet, whose tokeniser examples are cut for; make one with: make model"
    )
