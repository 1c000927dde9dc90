"""Every target is learnt once, whole, and after what it answers."""

import random
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import pairwise

import pytest

from engine.speakers import Called
from finetune.conversation import Conversation, LinkKind, Turn
from finetune.dataset.example import ExampleMessage
from finetune.dataset.examples import ExampleMaker, Exchange, Made, Refusal
from finetune.dataset.paths import path_to
from finetune.dataset.voices import voiced
from finetune.fate import Outcome
from finetune.message import Role
from tests.finetune.dataset.dialogues import dialogue, targets, turn
from tests.finetune.dataset.random_trees import ids_of, random_tree, words
from tests.finetune.dataset.renderers import model

PERSONA = "Be kind."
LONG = "the lantern by the river was out again that night "


def maker(limit: int = 1_000, persona: str = PERSONA, style: str = "chatml") -> ExampleMaker:
    return ExampleMaker(model(style).renderer, persona, limit)


def made(conversation: Conversation, limit: int = 1_000) -> list[Made]:
    """The examples of a conversation of which nothing is refused."""
    examples, fates = maker(limit).make(conversation)
    assert fates == ()
    return examples


def said(example: Made) -> list[tuple[str, str, float]]:
    return [(m.role, m.content, m.weight) for m in example.example.messages]


def shown(conversation: Conversation, limit: int = 1_000) -> list[list[str]]:
    return [[m.content for m in each.example.messages] for each in made(conversation, limit)]


def talk(*turns: Turn, is_shared: bool = False) -> Conversation:
    return Conversation(turns[0].ids[0], "log", "test", "square", turns, is_shared=is_shared)


def withheld(rng: random.Random, conversation: Conversation) -> Conversation:
    """As later stages leave it: some targets are none any more."""
    turns = (each.with_target(each.is_target and rng.random() < 0.85) for each in conversation.turns)
    return conversation.with_turns(tuple(turns))


def random_conversations(seed: int, number: int) -> Iterator[Conversation]:
    rng = random.Random(seed)
    for place in range(number):
        tree = random_tree(rng, has_roles=place % 2 == 0)
        conversation, _ = voiced(tree)
        yield withheld(rng, conversation) if place % 3 else conversation


def learnt(examples: Iterable[Made]) -> list[str]:
    """Ids of the messages that are learnt."""
    return ids_of(words(target for each in examples for target in each.example.targets))


# Over random conversations


@pytest.mark.parametrize("limit", [90, 160, 1_000])
def test_every_target_is_learnt_exactly_once_or_its_fate_is_told(limit: int) -> None:
    reasons: Counter[str] = Counter()
    num_learnt = 0
    for conversation in random_conversations(limit, 250):
        examples, fates = maker(limit).make(conversation)
        of_targets = {each.ids[0]: each.ids for each in targets([conversation])}
        refused = [id for fate in fates for id in of_targets[fate.id]]
        assert sorted([*learnt(examples), *refused]) == sorted(id for ids in of_targets.values() for id in ids)
        assert {fate.outcome for fate in fates} <= {Outcome.DROPPED}
        reasons.update(fate.reason for fate in fates)
        num_learnt += len(learnt(examples))
    assert num_learnt > 500
    assert reasons.keys() <= {"too long", "not whole", "nothing before it"}
    assert bool(reasons["too long"]) == (limit < 1_000)


@pytest.mark.parametrize("limit", [90, 160, 1_000])
def test_an_example_fits_begins_with_a_question_and_ends_with_what_is_learnt(limit: int) -> None:
    for conversation in random_conversations(limit + 1, 250):
        for each in maker(limit).make(conversation)[0]:
            messages = each.example.messages
            assert len(each.encoded.ids) == len(each.encoded.weights) <= limit
            assert messages[0].role == "system"
            roles = [message.role for message in messages[1:]]
            assert roles == ["user", "assistant"] * (len(roles) // 2)
            assert messages[-1].is_target
            assert each.encoded.weights[-1] > 0
            assert all(message.role == "assistant" for message in messages if message.is_target)
            assert {message.weight for message in messages} <= {0.0, 0.5, 1.0}
            assert len(each.target_lengths) == len(each.example.targets)
            assert sum(each.target_lengths) == each.encoded.num_targets


@pytest.mark.parametrize("limit", [90, 1_000])
def test_an_example_names_the_messages_that_it_shows_and_no_others(limit: int) -> None:
    ids: list[str] = []
    for number, conversation in enumerate(random_conversations(limit + 2, 250)):
        authors = {id: each.author for each in conversation.turns for id in each.ids}
        for made in maker(limit).make(conversation)[0]:
            example = made.example
            assert list(example.message_ids) == sorted(example.message_ids, key=lambda id: int(id[1:]))
            assert sorted(example.message_ids) == sorted(ids_of(words(m.content for m in example.messages)))
            assert set(example.authors) == {authors[id] for id in example.message_ids}
            spoken = {authors[id] for id in learnt([made])}
            assert set(example.authors[: len(spoken)]) == spoken
            assert (example.conversation, example.source) == ("m0", "log")
            assert example.id in learnt([made])
            ids.append(f"{number} {example.id}")
    assert len(ids) == len(set(ids)) > 300


def test_with_room_enough_all_that_led_to_an_answer_is_shown_and_nothing_beside_the_way() -> None:
    num_shown = 0
    for conversation in random_conversations(5, 200):
        turns = conversation.turns
        holder = {id: number for number, each in enumerate(turns) for id in each.ids}
        for each in maker(100_000).make(conversation)[0]:
            numbers = list(dict.fromkeys(holder[id] for id in each.example.message_ids))
            way = path_to(turns, numbers[-1])
            left_out = [turns[n] for n in way if n not in numbers]
            assert set(numbers) <= set(way)
            # A conversation does not begin with the model's part.
            spoken = {(t.author, t.role) for t in turns if t.is_target and set(t.ids) & set(learnt([each]))}
            assert all(t.role is Role.ASSISTANT or (t.author, t.role) in spoken for t in left_out)
            assert [turns[n] for n in way if turns[n].role is not Role.SYSTEM][: len(left_out)] == left_out
            num_shown += len(numbers)
    assert num_shown > 1_000


# What is shown


def test_a_dialogue_is_one_example_that_teaches_all_answers() -> None:
    (example,) = made(dialogue("k", ["hello", "hi", "how are you?", "fine", "bye"]))
    assert said(example) == [
        ("system", PERSONA, 0.0),
        ("user", "hello", 0.0),
        ("assistant", "hi", 1.0),
        ("user", "how are you?", 0.0),
        ("assistant", "fine", 1.0),
    ]
    assert example.example.message_ids == ("k", "k.1", "k.2", "k.3")
    assert example.example.authors == ("bea", "somebody")
    assert example.example.id == "k.3"
    assert len(example.target_lengths) == 2


def test_without_a_persona_there_is_no_system_message() -> None:
    (example,), _ = maker(persona="").make(dialogue("k", ["hello", "hi"]))
    assert [m.role for m in example.example.messages] == ["user", "assistant"]


def test_what_branches_off_is_learnt_beside_the_rest_and_what_led_there_once() -> None:
    turns = [
        turn("1", "ann", "first question", None),
        turn("2", "bea", "first answer", 0, is_target=True),
        turn("3", "ann", "second question", 1),
        turn("4", "bea", "second answer", 2, is_target=True),
        turn("5", "ann", "another question", 1),
        turn("6", "bea", "another answer", 4, is_target=True),
    ]
    first, second = made(talk(*turns))
    assert first.example.targets == ("first answer", "second answer")
    assert [(content, weight) for _, content, weight in said(second)[1:]] == [
        ("first question", 0.0),
        ("first answer", 0.0),
        ("another question", 0.0),
        ("another answer", 1.0),
    ]


def test_between_people_each_is_learnt_from_what_the_others_said() -> None:
    turns = [
        turn("1", "ann", "where is it", None),
        turn("2", "bea", "in the shed", 0),
        turn("3", "ann", "which shed", 1),
        turn("4", "cem", "the red one", 2),
    ]
    conversation, _ = voiced(talk(*turns))
    assert [[(role, content) for role, content, _ in said(each)[1:]] for each in made(conversation)] == [
        [("user", "[A] where is it"), ("assistant", "in the shed")],
        [("user", "[A] in the shed"), ("assistant", "which shed")],
        [("user", "[A] where is it\n[B] in the shed\n[A] which shed"), ("assistant", "the red one")],
    ]


def test_an_inferred_link_counts_half_and_so_does_what_is_said_in_a_row_with_it() -> None:
    turns = [
        turn("1", "ann", "one", None),
        replace(turn("2", "bea", "two", 0, is_target=True), link=LinkKind.INFERRED),
        turn("3", "ann", "three", 1),
        turn("4", "bea", "four", 2, is_target=True, role=None),
        replace(turn("5", "bea", "five", 3, is_target=True), link=LinkKind.INFERRED),
        turn("6", "ann", "six", 4),
        turn("7", "bea", "seven", 5, is_target=True),
    ]
    (example,) = made(talk(*turns))
    assert [(m.content, m.weight) for m in example.example.messages if m.is_target] == [
        ("two", 0.5),
        ("four\nfive", 0.5),
        ("seven", 1.0),
    ]
    assert set(example.encoded.weights) == {0.0, 0.5, 1.0}


def test_an_answer_that_goes_on_unlearnt_ends_its_example_there() -> None:
    turns = [
        turn("1", "ann", "one", None),
        turn("2", "bea", "two", 0, is_target=True),
        turn("3", "bea", "half an hour later", 1),
        turn("4", "ann", "four", 2),
        turn("5", "bea", "five", 3, is_target=True),
    ]
    assert shown(talk(*turns)) == [
        [PERSONA, "one", "two"],
        [PERSONA, "one", "two\nhalf an hour later", "four", "five"],
    ]


def test_what_goes_on_from_an_answer_that_is_not_learnt_is_not_either() -> None:
    turns = [
        turn("1", "ann", "one", None),
        turn("2", "bea", "two", 0),
        turn("3", "bea", "three", 1, is_target=True),
        turn("4", "ann", "four", 2),
        turn("5", "bea", "five", 3, is_target=True),
    ]
    examples, fates = maker().make(talk(*turns))
    assert [each.example.targets for each in examples] == [("five",)]
    assert [(fate.id, fate.reason) for fate in fates] == [("3", "not whole")]


def test_an_answer_without_words_beside_a_name_is_not_learnt() -> None:
    naming = replace(turn("2", "bea", "", 0, is_target=True), pieces=(Called("ann"), ":"))
    turns = [turn("1", "ann", "one", None), naming, turn("3", "ann", "three", 1), turn("4", "bea", "four", 2)]
    examples, fates = maker().make(talk(*turns[:3], turns[3].with_target(True)))
    assert [each.example.targets for each in examples] == [("four",)]
    assert [(fate.id, fate.reason) for fate in fates] == [("2", "empty")]


def test_what_answers_nothing_that_is_there_is_not_learnt() -> None:
    turns = [turn("1", "bea", "one", None, is_target=True), turn("2", "ann", "two", 0)]
    turns = [replace(each, role=Role.ASSISTANT if each.author == "bea" else Role.USER) for each in turns]
    examples, fates = maker().make(talk(*turns))
    assert examples == []
    assert [(fate.id, fate.reason) for fate in fates] == [("1", "nothing before it")]


def test_what_the_source_has_as_the_systems_stands_in_place_of_the_persona_in_every_example() -> None:
    texts = [LONG * 2] * 12
    conversation = dialogue("k", texts)
    turns = [replace(each, parent=0 if n == 0 else n) for n, each in enumerate(conversation.turns)]
    turns = [replace(each, role=Role.ASSISTANT if n % 2 else Role.USER) for n, each in enumerate(turns)]
    rules = turn("s", "system", "Be brief.", None, role=Role.SYSTEM)
    examples = made(talk(rules, *turns), 250)
    assert len(examples) > 1
    for each in examples:
        assert each.example.messages[0] == ExampleMessage("system", "Be brief.")
        assert each.example.message_ids[0] == "s"


# What does not fit


def test_of_a_long_history_the_oldest_turns_go_and_the_answer_is_whole() -> None:
    texts = [f"{number} {LONG}" for number in range(20)]
    conversation = dialogue("k", texts, targets=[19])
    (example,) = made(conversation, 200)
    contents = [content for _, content, _ in said(example)]
    kept = len(contents) - 1
    assert contents == [PERSONA, *texts[-kept:]]
    assert 4 <= kept < 20
    assert 150 < len(example.encoded.ids) <= 200


def test_a_long_dialogue_becomes_examples_that_each_have_some_history() -> None:
    texts = [f"{number} {LONG}" for number in range(40)]
    examples = made(dialogue("k", texts), 500)
    assert 3 < len(examples) < 12
    assert [target for each in examples for target in each.example.targets] == texts[1::2]
    for before, after in pairwise(examples):
        context = [m.content for m in after.example.messages[1:] if not m.is_target]
        assert before.example.targets[-1] in context


def test_an_answer_that_does_not_fit_with_what_it_answers_is_not_cut() -> None:
    texts = ["hello", "hi", "and?", LONG * 40, "what?", "never mind"]
    examples, fates = maker(200).make(dialogue("k", texts))
    assert [target for each in examples for target in each.example.targets] == ["hi", "never mind"]
    (fate,) = fates
    assert (fate.id, fate.reason) == ("k.3", "too long")
    assert "limit 200" in fate.detail
    assert "lantern" not in fate.detail


def test_a_question_that_does_not_fit_is_not_cut_either() -> None:
    examples, fates = maker(100).make(dialogue("k", [LONG * 40, "hi"]))
    assert examples == []
    assert [(fate.id, fate.reason) for fate in fates] == [("k.1", "too long")]


def test_what_the_estimate_gets_wrong_is_cut_again() -> None:
    """A template with a long preamble takes more than is allowed for."""
    source = "{% if true %}" + LONG * 3 + "{% endif %}{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}"
    source += "<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
    texts = [f"{number} {LONG}" for number in range(12)]
    examples, fates = ExampleMaker(model("chatml", source).renderer, "", 200).make(dialogue("k", texts))
    assert fates == ()
    assert sorted(target for each in examples for target in each.example.targets) == sorted(texts[1::2])
    assert max(len(each.encoded.ids) for each in examples) <= 200


def test_a_persona_that_fills_the_context_leaves_no_example() -> None:
    examples, fates = maker(100, LONG * 40).make(dialogue("k", ["hello", "hi"]))
    assert (examples, [fate.reason for fate in fates]) == ([], ["too long"])


# Templates


@pytest.mark.parametrize(("style", "persona"), [("gemma", PERSONA), ("mistral", PERSONA), ("qwen3", "")])
def test_a_template_that_refuses_leaves_fates_and_says_why(style: str, persona: str) -> None:
    examples, fates = maker(persona=persona, style=style).make(dialogue("k", ["hello", "hi", "so?", "well"]))
    assert examples == []
    assert [(fate.id, fate.reason) for fate in fates] == [("k.1", "not rendered"), ("k.3", "not rendered")]
    assert all("template" in fate.detail for fate in fates)


@pytest.mark.parametrize("style", ["gemma", "mistral", "llama3", "phi3"])
def test_random_conversations_alternate_as_strict_templates_want_it(style: str) -> None:
    num_learnt = 0
    for conversation in random_conversations(9, 60):
        has_system = any(each.role is Role.SYSTEM for each in conversation.turns)
        examples, fates = maker(persona="", style=style).make(conversation)
        num_learnt += len(learnt(examples))
        if not has_system or style in ("llama3", "phi3"):
            assert {fate.reason for fate in fates} <= {"not whole", "nothing before it"}
    assert num_learnt > 100


def test_answers_that_cannot_stand_in_one_example_get_one_each() -> None:
    ends = model("phi3", with_stops=False)  # its answers end with a token that no prompt has
    examples, fates = ExampleMaker(ends.renderer, "", 1_000).make(dialogue("k", ["hello", "hi", "so?", "well"]))
    assert fates == ()
    assert [each.example.targets for each in examples] == [("hi",), ("well",)]


# Exchanges


def exchange(conversation: Conversation, number: int, limit: int = 1_000) -> Exchange:
    found = maker(limit).exchange(conversation, number)
    assert isinstance(found, Exchange)
    return found


def with_roles(texts: Sequence[str]) -> Conversation:
    conversation = dialogue("k", texts, targets=())
    roles = (Role.USER, Role.ASSISTANT)
    return conversation.with_turns(tuple(replace(t, role=roles[n % 2]) for n, t in enumerate(conversation.turns)))


def test_an_exchange_is_an_answer_and_what_led_to_it() -> None:
    found = exchange(with_roles(["hello", "hi", "so?", "well"]), 3)
    assert [(m.role, m.content, m.weight) for m in found.prompt] == [
        ("system", PERSONA, 0.0),
        ("user", "hello", 0.0),
        ("assistant", "hi", 0.0),
        ("user", "so?", 0.0),
    ]
    assert found.answer == "well"
    assert found.message_ids == ("k", "k.1", "k.2", "k.3")


def test_a_prompt_has_half_of_the_context_and_names_what_it_shows() -> None:
    texts = [f"{number} {LONG}" for number in range(30)]
    found = exchange(with_roles(texts), 29, 300)
    kept = len(found.prompt) - 1
    assert [m.content for m in found.prompt[1:]] == texts[29 - kept : 29]
    assert 1 < kept < 10
    assert found.message_ids == tuple(f"k.{number}" for number in range(29 - kept, 30))
    (whole,) = made(
        with_roles(texts).with_turns(tuple(t.with_target(n == 29) for n, t in enumerate(with_roles(texts).turns))), 300
    )
    assert len(whole.example.messages) > kept + 2


def test_a_name_in_an_answer_is_the_tag_that_the_prompt_has_for_it() -> None:
    turns = [
        turn("1", "ann", "who was it", None, role=Role.USER),
        replace(turn("2", "bea", "", 0, role=Role.USER), pieces=("not me, ", Called("cem"))),
        replace(turn("3", "", "", 1, role=Role.ASSISTANT), pieces=("it was ", Called("cem"))),
    ]
    found = exchange(talk(*turns, is_shared=True), 2)
    assert found.prompt[-1].content == "[A] who was it\n[B] not me, [C]"
    assert found.answer == "it was [C]"


@pytest.mark.parametrize(
    ("number", "limit", "reason"),
    [(1, 20, "too long"), (0, 1_000, "nothing before it"), (2, 1_000, "nothing before it")],
)
def test_what_is_no_exchange_is_refused(number: int, limit: int, reason: str) -> None:
    turns = [
        turn("1", "ann", "one", None, role=Role.USER if number else Role.ASSISTANT),
        turn("2", "", "two", 0, role=Role.ASSISTANT),
        turn("3", "", "three", 1, role=Role.ASSISTANT),
    ]
    found = maker(limit).exchange(talk(*turns), number)
    assert isinstance(found, Refusal)
    assert found.reason == reason


def test_an_answer_after_a_template_that_refuses_is_no_exchange() -> None:
    found = maker(style="gemma").exchange(with_roles(["hello", "hi"]), 1)
    assert isinstance(found, Refusal)
    assert found.reason == "not rendered"
