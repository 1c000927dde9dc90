"""What of an example is learnt, what a budget has room for, and that packing loses nothing."""

import random
from collections import Counter
from dataclasses import replace

import pytest

from finetune.dataset.example import Example, ExampleMessage
from finetune.training.encoding import Row, choose, encoded, order, pack
from finetune.training.errors import TrainingError
from tests.finetune.dataset.renderers import model

TALK = (
    ExampleMessage("system", "You are Mynah."),
    ExampleMessage("user", "[A]: do plants sleep?"),
    ExampleMessage("assistant", "They rest, at night. \N{HERB}", 1.0),
    ExampleMessage("user", "[A]: and fish?"),
    ExampleMessage("assistant", "Fish do.", 0.0),
    ExampleMessage("user", "[B]: I doubt it"),
    ExampleMessage("assistant", "Look at them at midnight!", 0.5),
)


def example(id_: str = "1", messages: tuple[ExampleMessage, ...] = TALK, source: str = "log") -> Example:
    return Example(id_, f"conversation {id_}", source, messages)


def row(id_: str, length: int, source: str = "log") -> Row:
    return Row(id_, id_, source, tuple(range(length)), (0.0, *[1.0] * (length - 1)), 3 * length)


def random_rows(rng: random.Random, number: int, longest: int = 60) -> list[Row]:
    sources = ("log", "log", "log", "import", "replay", "canary")
    return [row(f"id {n}", rng.randint(2, longest), rng.choice(sources)) for n in range(number)]


def num_tokens(rows: list[Row]) -> int:
    return sum(len(each.ids) for each in rows)


def by_source(rows: list[Row]) -> Counter[str]:
    """How many tokens of each."""
    found: Counter[str] = Counter()
    for each in rows:
        found[each.source] += len(each.ids)
    return found


@pytest.mark.parametrize("style", ["chatml", "llama3", "gemma", "mistral", "phi3"])
def test_what_is_learnt_of_an_example_is_its_answers_with_the_token_that_ends_each(style: str) -> None:
    served = model(style)
    messages = TALK[1:] if style in ("gemma", "mistral") else TALK
    [found] = encoded([example(messages=messages)], served.renderer)
    parts: list[tuple[float, list[int]]] = []
    for token, weight in zip(found.ids, found.weights, strict=True):
        if not parts or parts[-1][0] != weight:
            parts.append((weight, []))
        parts[-1][1].append(token)
    learnt = [(weight, ids) for weight, ids in parts if weight]
    assert [weight for weight, _ in learnt] == [1.0, 0.5]
    for (_, ids), answer in zip(learnt, ("They rest, at night. \N{HERB}", "Look at them at midnight!"), strict=True):
        *said, end = ids
        assert served.tokenizer.decode(said).strip() == answer
        assert end in served.stop_ids
        assert not served.stop_ids & {*said}


def test_a_row_knows_its_example_and_the_bytes_that_are_learnt() -> None:
    [found] = encoded([example("7", source="garden")], model().renderer)
    assert (found.id, found.conversation, found.source) == ("7", "conversation 7", "garden")
    assert found.num_bytes == len("They rest, at night. \N{HERB}Look at them at midnight!".encode())


def test_examples_without_an_answer_to_learn_never_become_rows() -> None:
    silent = tuple(ExampleMessage(each.role, each.content) for each in TALK)
    rows = encoded([example("1"), example("2", silent), example("3", ()), example("4")], model().renderer)
    assert [each.id for each in rows] == ["1", "4"]
    with pytest.raises(AssertionError, match="nothing to be learnt"):
        Row("2", "2", "log", (1, 2), (0.0, 0.0), 0)


def test_a_token_that_nothing_stands_before_is_not_learnt() -> None:
    bare = model(template="{% for m in messages %}{{ m['content'] }}<|im_end|>{% endfor %}")
    [found] = encoded([example(messages=(ExampleMessage("assistant", "Fish do.", 1.0),))], bare.renderer)
    assert found.weights == (0.0, *[1.0] * (len(found.ids) - 1))
    with pytest.raises(AssertionError, match="nothing before it"):
        Row("2", "2", "log", (1, 2), (1.0, 0.0), 0)


def test_a_budget_that_has_room_for_all_changes_nothing() -> None:
    rows = random_rows(random.Random(1), 50)
    assert choose(rows, None, 2.0, 0, 0.15) == rows
    assert choose(rows, num_tokens(rows), 2.0, 0, 0.15) == rows
    assert choose(rows, num_tokens(rows) - 1, 2.0, 0, 0.15) != rows


def test_a_budget_is_kept_and_used_and_takes_all_canaries() -> None:
    rng = random.Random(2)
    for seed in range(40):
        rows, epochs = random_rows(rng, 600), rng.choice((0.5, 1.0, 2.0))
        once = min(1.0, epochs)
        budget = int(num_tokens(rows) * once * rng.uniform(0.4, 0.99))
        chosen = choose(rows, budget, epochs, seed, 0.3)
        assert budget * 0.97 <= num_tokens(chosen) * once <= budget
        names = {each.id for each in chosen}
        assert chosen == [each for each in rows if each.id in names]
        assert by_source(chosen)["canary"] == by_source(rows)["canary"]


@pytest.mark.parametrize("share", [0.0, 0.05, 0.15, 0.5])
@pytest.mark.parametrize("bytes_of_replay", [1, 4])
def test_replay_has_its_share_of_what_a_budget_has_room_for_however_little_of_all_it_is(
    share: float, bytes_of_replay: int
) -> None:
    rng = random.Random(3)
    said = [row(f"said {n}", rng.randint(20, 60)) for n in range(20_000)]
    replayed = [row(f"replay {n}", rng.randint(20, 60), "replay") for n in range(1000)]
    replayed = [replace(each, num_bytes=bytes_of_replay * each.num_bytes) for each in replayed]
    chosen = choose([*said, *replayed], 40_000, 2.0, 0, share)
    num_bytes = sum(each.num_bytes for each in chosen)
    found = sum(each.num_bytes for each in chosen if each.source == "replay") / num_bytes
    assert found == pytest.approx(share, abs=0.01)


def test_where_replay_is_less_than_its_share_all_of_it_is_taken() -> None:
    rows = [*random_rows(random.Random(4), 500), *(row(f"replay {n}", 10, "replay") for n in range(5))]
    rows = [each for each in rows if each.source != "replay" or each.id.startswith("replay")]
    chosen = choose(rows, num_tokens(rows) // 2, 1.0, 0, 0.3)
    assert by_source(chosen)["replay"] == 50
    assert num_tokens(chosen) >= num_tokens(rows) // 2 * 0.97


def test_what_a_budget_chooses_depends_on_the_seed_and_on_nothing_else() -> None:
    rows = random_rows(random.Random(3), 200)
    budget = num_tokens(rows) // 2
    first = choose(rows, budget, 1.0, 0, 0.15)
    assert {each.id for each in choose(rows[::-1], budget, 1.0, 0, 0.15)} == {each.id for each in first}
    assert choose(rows, budget, 1.0, 1, 0.15) != first


def test_a_budget_does_not_prefer_short_examples() -> None:
    rows = [row(f"id {n}", 10 if n % 2 else 100) for n in range(1000)]
    chosen = choose(rows, num_tokens(rows) // 3, 1.0, 0, 0.15)
    short = sum(len(each.ids) == 10 for each in chosen)
    assert 0.4 < short / len(chosen) < 0.6


def test_a_budget_without_room_for_a_single_example_is_refused() -> None:
    rows = [row("a", 50), row("b", 60), row("c", 5, "canary")]
    with pytest.raises(TrainingError, match=r"50 tokens has room for none of 3 examples; raise TRAIN_TOKENS"):
        choose(rows, 50, 2.0, 0, 0.15)


def test_an_epoch_has_every_row_once_in_an_order_of_its_own() -> None:
    rows = random_rows(random.Random(4), 100)
    first, second = order(rows, 0, 0), order(rows, 1, 0)
    assert len({tuple(each) for each in (rows, first, second, order(rows, 0, 1))}) == 4
    assert sorted(first, key=rows.index) == sorted(second, key=rows.index) == rows
    assert order(rows[::-1], 0, 0) == first


def test_packing_loses_nothing_doubles_nothing_and_is_never_too_long() -> None:
    rng = random.Random(5)
    for _ in range(60):
        length = rng.randint(10, 90)
        rows = random_rows(rng, rng.randint(1, 80), length)
        packed = pack(rows, length)
        assert Counter(each.id for one in packed for each in one.rows) == Counter(each.id for each in rows)
        for one in packed:
            assert len(one.ids) == len(one.weights) == len(one.positions) <= length
            starts = [n for n, position in enumerate(one.positions) if position == 0]
            assert [one.ids[a:b] for a, b in zip(starts, [*starts[1:], None], strict=True)] == [r.ids for r in one.rows]
            assert all(one.weights[start] == 0 for start in starts)
            assert sum(one.weights) == sum(sum(each.weights) for each in one.rows)
        # No two rows that are half full are left: they would have been put into one.
        assert sum(len(one.ids) * 2 <= length for one in packed) <= 1


def test_packing_wastes_little_of_what_people_write() -> None:
    rng = random.Random(6)
    rows = [row(f"id {n}", min(1024, int(rng.lognormvariate(5, 0.7)) + 2)) for n in range(800)]
    assert num_tokens(rows) / (1024 * len(pack(rows, 1024))) > 0.98
