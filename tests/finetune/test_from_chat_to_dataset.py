"""What people say to the bot, and make of its answers, from the chat log to the dataset, by the operator's command."""

import asyncio
from collections.abc import Callable

import pytest

from bots.message import Text
from finetune.__main__ import main
from tests.bots.chatlog.chatlog_samples import ANNA, BERT, CHAT
from tests.finetune.logged_chats import Chat
from tests.finetune.workplace import Workplace

TALK = [
    ("what do magpies eat in winter?", "They eat seeds and whatever they find."),
    ("and in summer?", "Mostly insects, I would say."),
    ("where do they build their nests?", "High up in old trees, with a roof of twigs."),
]


@pytest.fixture
def talked(workplace: Workplace, monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Lets Anna, who agreed to training, talk with the bot: she likes one answer, dislikes another, corrects it."""
    monkeypatch.setenv("POLICY_TELEGRAM_CONFIRMED", "true")
    monkeypatch.setenv("FINETUNE_VOTER_SHARE", "1")

    async def talk() -> None:
        async with workplace.log() as log:
            chat = Chat(log, is_private=True)
            await chat.agree(ANNA)
            posts = [await chat.turn(ANNA, said, answer) for said, answer in TALK]
            await chat.rate(posts[0], 1)
            await chat.rate(posts[1], -1)
            assert await log.corrections.give(CHAT, posts[1], ANNA, (Text("Beetles and caterpillars, mostly."),))
            question = await chat.ask(ANNA, "and who hunts them at night?")
            await chat.answer([question], "I do not know at all.")
            await chat.answer([question], "Owls do, above all the eagle owl.")

    return lambda: asyncio.run(talk())


def test_liked_answers_corrections_and_retries_come_to_train_a_model(
    workplace: Workplace, talked: Callable[[], None]
) -> None:
    talked()
    assert main(["prepare"]) == 0
    parts = workplace.parts()
    people = [row for row in parts["train"] if row["source"] == "log"]
    learnt = {message["content"] for row in people for message in row["messages"] if message["weight"] > 0}
    assert learnt == {TALK[0][1], "Beetles and caterpillars, mostly."}
    assert {(row["completion"], row["is_good"]) for row in parts["labels"]} == {
        (TALK[0][1], True),
        (TALK[1][1], False),
    }
    assert {(row["chosen"], row["rejected"], row["reason"]) for row in parts["pairs"]} == {
        ("Beetles and caterpillars, mostly.", TALK[1][1], "correction"),
        ("Owls do, above all the eagle owl.", "I do not know at all.", "retry"),
    }


def test_one_persons_ratings_make_no_label_by_default(
    workplace: Workplace, talked: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("FINETUNE_VOTER_SHARE")
    talked()
    assert main(["prepare"]) == 0
    assert workplace.parts()["labels"] == workplace.parts()["pairs"] == []


def test_whoever_forgets_is_in_no_later_dataset(workplace: Workplace, talked: Callable[[], None]) -> None:
    talked()
    assert main(["prepare"]) == 0
    assert "magpies" in workplace.everything()

    async def forget() -> None:
        async with workplace.log() as log:
            await log.forget(ANNA.platform, ANNA.id)
            chat = Chat(log, is_private=True)
            await chat.agree(BERT)
            await chat.rate(
                await chat.turn(BERT, "do owls sleep by day?", "Most of them do, in hollow trees."), user=BERT
            )

    asyncio.run(forget())
    assert main(["prepare"]) == 0
    assert "magpies" not in workplace.everything()
    assert "hollow trees" in workplace.everything()
