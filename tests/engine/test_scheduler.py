"""The scheduler driven with integers, and with a cache that remembers which tokens really lie where."""

import random

import pytest

from engine.scheduler import Decode, Prefill, Scheduler, Sequence, StepPlan
from engine.slots import Copy

CHUNK = 8


class SimulatedCache:
    """Slots of tokens, changed only by what plans say; checks that each run finds its past."""

    def __init__(self, num_slots: int) -> None:
        self.slots: list[list[int]] = [[] for _ in range(num_slots)]

    def carry_out(self, plan: StepPlan) -> None:
        for move in plan.moves:
            if isinstance(move, Copy):
                assert len(self.slots[move.source]) >= move.length
                self.slots[move.target] = self.slots[move.source][: move.length]
            else:
                a, b = self.slots[move.a], self.slots[move.b]
                assert move.length_a <= len(a)
                assert move.length_b <= len(b)
                self.slots[move.a], self.slots[move.b] = b[: move.length_b], a[: move.length_a]
        if isinstance(plan.run, Prefill):
            self._write(plan.run.slot, plan.run.sequence, plan.run.past, plan.run.tokens)
        else:
            for row, sequence in enumerate(plan.run.sequences):
                self._write(row, sequence, sequence.num_computed, tuple(sequence.tokens[-1:]))

    def _write(self, slot: int, sequence: Sequence, past: int, tokens: tuple[int, ...]) -> None:
        assert sequence.slot == slot
        assert self.slots[slot][:past] == sequence.tokens[:past], "the slot holds another text"
        assert sequence.tokens[past : past + len(tokens)] == list(tokens)
        self.slots[slot] = [*self.slots[slot][:past], *tokens]


class Driver:
    """Runs a scheduler over the simulated cache; every sampled token is the sequence's length."""

    def __init__(self, *, num_slots: int = 6, max_batch: int = 4) -> None:
        self.scheduler = Scheduler(num_slots=num_slots, max_batch=max_batch, chunk_tokens=CHUNK)
        self.cache = SimulatedCache(num_slots)
        self.plans: list[StepPlan] = []

    def step(self) -> StepPlan | None:
        plan = self.scheduler.plan_step()
        if plan is None:
            return None
        self.plans.append(plan)
        self.cache.carry_out(plan)
        self.scheduler.commit(plan.run)
        run = plan.run
        sampled = run.sequences if isinstance(run, Decode) else (run.sequence,) if run.is_last else ()
        for sequence in sampled:
            sequence.tokens.append(len(sequence.tokens))
        return plan

    def run_until_decoding(self, *sequences: Sequence) -> None:
        for sequence in sequences:
            self.scheduler.add(sequence)
        for _ in range(100):
            if all(s.slot is not None and not s.is_prefilling for s in sequences):
                return
            self.step()
        pytest.fail("the sequences never came to decoding")


def _sequence(chat: str, length: int, start: int = 1000) -> Sequence:
    return Sequence(chat, list(range(start, start + length)))


def test_a_long_prompt_runs_in_chunks_with_a_token_for_everyone_in_between() -> None:
    driver = Driver()
    short = _sequence("short", 3)
    driver.run_until_decoding(short)
    driver.scheduler.add(_sequence("long", 5 * CHUNK, start=5000))
    kinds = [type(driver.step().run) for _ in range(10)]
    assert kinds == [Decode, Prefill] * 5 or kinds == [Prefill, Decode] * 5
    assert all(len(p.run.tokens) <= CHUNK for p in driver.plans if isinstance(p.run, Prefill))


def test_several_short_prompts_run_between_two_decodes_up_to_a_chunk_in_all() -> None:
    driver = Driver()
    first = _sequence("first", 3)
    driver.run_until_decoding(first)
    for i in range(3):
        driver.scheduler.add(_sequence(str(i), 3, 100 * i))
    while driver.scheduler.waiting or any(s.is_prefilling for s in driver.scheduler.running):
        driver.step()
    kinds = ["prefill" if isinstance(p.run, Prefill) else "decode" for p in driver.plans[1:]]
    # The first prompt and one more make 6 of 8 tokens; a third would be over.
    assert kinds == ["prefill", "decode", "prefill", "prefill"]


def test_all_running_replies_share_a_step() -> None:
    driver = Driver()
    driver.run_until_decoding(*(_sequence(str(i), 4, 100 * i) for i in range(4)))
    plan = driver.step()
    assert isinstance(plan.run, Decode)
    assert len(plan.run.sequences) == 4


def test_no_more_sequences_run_than_the_batch_allows() -> None:
    driver = Driver(max_batch=2)
    for i in range(5):
        driver.scheduler.add(_sequence(str(i), 4, 100 * i))
    for _ in range(10):
        driver.step()
    assert len(driver.scheduler.running) == 2
    assert len(driver.scheduler.waiting) == 3


def test_the_next_turn_of_a_chat_computes_only_what_is_new() -> None:
    driver = Driver()
    first = _sequence("chat", 40)
    driver.run_until_decoding(first)
    driver.scheduler.remove(first)
    turn = Sequence("chat", [*first.tokens, *range(3000, 3005)])
    driver.run_until_decoding(turn)
    assert turn.num_reused == 40  # the newest token of the first turn has never run
    assert sum(len(p.run.tokens) for p in driver.plans if isinstance(p.run, Prefill)) == 40 + 6


def test_a_shared_persona_is_copied_from_another_chat_and_nothing_beyond_it() -> None:
    driver = Driver()
    persona = list(range(500, 530))
    one = Sequence("one", [*persona, 1, 2, 3])
    two = Sequence("two", [*persona, 7, 8])
    driver.run_until_decoding(one)
    driver.run_until_decoding(two)
    assert two.num_reused == len(persona)
    assert any(isinstance(m, Copy) and m.length == len(persona) for p in driver.plans for m in p.moves)


def test_the_last_token_of_a_prompt_always_runs() -> None:
    driver = Driver()
    first = _sequence("chat", 30)
    driver.run_until_decoding(first)
    driver.scheduler.remove(first)
    again = _sequence("chat", 30)
    driver.run_until_decoding(again)
    assert again.num_reused == 29


def test_the_least_recently_used_conversation_gives_way() -> None:
    driver = Driver(num_slots=2, max_batch=1)
    for chat, start in (("a", 0), ("b", 100), ("c", 200)):
        sequence = _sequence(chat, 20, start)
        driver.run_until_decoding(sequence)
        driver.scheduler.remove(sequence)
    back = {chat: _sequence(chat, 20, start) for chat, start in (("b", 100), ("a", 0))}
    for sequence in back.values():
        driver.run_until_decoding(sequence)
        driver.scheduler.remove(sequence)
    assert back["b"].num_reused == 19
    assert back["a"].num_reused == 0


def test_a_failed_slot_is_not_reused() -> None:
    driver = Driver()
    first = _sequence("chat", 30)
    driver.run_until_decoding(first)
    driver.scheduler.remove(first, keep_cache=False)
    again = _sequence("chat", 30)
    driver.run_until_decoding(again)
    assert again.num_reused == 0


def test_a_forgotten_cache_reuses_nothing() -> None:
    driver = Driver()
    first = _sequence("chat", 30)
    driver.run_until_decoding(first)
    driver.scheduler.remove(first)
    driver.scheduler.forget_cache()
    again = _sequence("chat", 30)
    driver.run_until_decoding(again)
    assert again.num_reused == 0


def test_nothing_to_do_is_no_plan() -> None:
    assert Driver().step() is None


@pytest.mark.parametrize("seed", range(20))
def test_in_random_traffic_every_run_finds_its_own_past(seed: int) -> None:
    """Sequences come, share prefixes, are cancelled and return; the simulated cache checks each run."""
    rng = random.Random(seed)
    driver = Driver(num_slots=rng.randrange(4, 8), max_batch=rng.randrange(1, 5))
    alive: list[Sequence] = []
    histories = {chat: [rng.randrange(3) for _ in range(20)] for chat in "abcdefg"}
    finished = 0
    for _ in range(400):
        if rng.random() < 0.15:
            chat = rng.choice("abcdefg")
            histories[chat] = [*histories[chat][: rng.choice([20, 200])], *rng.choices(range(50), k=rng.randrange(9))]
            sequence = Sequence(chat, list(histories[chat]))
            alive.append(sequence)
            driver.scheduler.add(sequence)
        driver.step()
        for sequence in list(alive):
            limit = sequence.num_prompt + 15
            if rng.random() < 0.01 or len(sequence.tokens) >= limit:
                finished += len(sequence.tokens) >= limit
                driver.scheduler.remove(sequence, keep_cache=rng.random() < 0.9)
                histories[sequence.chat] = list(sequence.tokens)
                alive.remove(sequence)
        running = driver.scheduler.running
        assert len({s.slot for s in running}) == len(running)
        assert len(running) + len(driver.scheduler.waiting) == len(alive)
    assert finished > 5, "the run was too quiet to show anything"
    assert any(p.moves for p in driver.plans), "nothing was ever moved"
