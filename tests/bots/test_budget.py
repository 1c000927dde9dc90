import asyncio
import itertools
from random import Random

import pytest

from bots import Pace
from bots.budget import Budget, Line, Priority
from bots.testing import VirtualClock, settle

GROUP = Pace(limit=20, period_s=60.0, interval_s=3.0, reserved=6)


@pytest.fixture
def time():
    return VirtualClock()


async def spend(line, priority, done=None, name=None):
    line.end(await line.begin(priority))
    if done is not None:
        done.append(name)


def may_spend(line, priority):
    slot = line.try_begin(priority)
    if slot is not None:
        line.end(slot)
    return slot is not None


def may_call(budget, key, pace, priority):
    with budget.try_turn(key, pace, priority) as may:
        return may


async def test_no_window_of_the_period_ever_holds_more_calls_than_the_limit(time):
    line = Line(GROUP, time.clock, time.sleep)
    spent = []

    async def stream(priority, count):
        for _ in range(count):
            await spend(line, priority)
            spent.append(time.now_s)

    async with asyncio.TaskGroup() as group:
        for priority in (Priority.FINAL, Priority.EDIT, Priority.MESSAGE):
            group.create_task(stream(priority, 40))
        while len(spent) < 120:
            await time.advance(0.5)
    assert max(sum(start <= at < start + 60.0 for at in spent) for start in spent) == 20


async def test_however_late_a_call_arrives_the_platform_sees_no_more_than_the_limit(time):
    line, seen, random = Line(Pace(limit=5, period_s=10.0), time.clock, time.sleep), [], Random(7)

    async def call():
        slot = await line.begin(Priority.FINAL)
        await time.sleep(random.uniform(0, 8))
        seen.append(time.now_s)
        await time.sleep(random.uniform(0, 8))
        line.end(slot)

    async with asyncio.TaskGroup() as group:
        for _ in range(60):
            group.create_task(call())
        while len(seen) < 60:
            await time.advance(0.25)
        await time.advance(8.0)
    assert max(sum(start <= at < start + 10.0 for at in seen) for start in seen) <= 5


async def test_what_is_more_important_goes_first_and_equals_go_in_order(time):
    line = Line(Pace(limit=1, period_s=1.0), time.clock, time.sleep)
    done = []
    async with asyncio.TaskGroup() as group:
        await spend(line, Priority.FINAL)
        for number, priority in enumerate((Priority.EDIT, Priority.MESSAGE, Priority.FINAL, Priority.FINAL)):
            group.create_task(spend(line, priority, done, (priority, number)))
            await settle()
        for _ in range(4):
            await time.advance(1.0)
    assert done == [(Priority.FINAL, 2), (Priority.FINAL, 3), (Priority.MESSAGE, 1), (Priority.EDIT, 0)]


async def test_edits_leave_room_for_a_final_text_at_any_time(time):
    line = Line(GROUP, time.clock, time.sleep)
    edits = []

    async def edit_for_ever():
        while True:
            await spend(line, Priority.EDIT)
            edits.append(time.now_s)

    task = asyncio.ensure_future(edit_for_ever())
    for _ in range(240):
        await time.advance(0.5)
    started_s, done = time.now_s, []
    async with asyncio.TaskGroup() as group:
        for number in range(4):
            group.create_task(spend(line, Priority.FINAL, done, number))
    assert (done, time.now_s) == ([0, 1, 2, 3], started_s)
    assert min(later - earlier for earlier, later in itertools.pairwise(edits)) >= 3.0
    task.cancel()


async def test_typing_never_waits_and_never_takes_the_last_calls(time):
    line = Line(GROUP, time.clock, time.sleep)
    granted = 0
    for _ in range(100):
        granted += may_spend(line, Priority.TYPING)
        time.now_s += 0.1
    assert granted == 4  # one each 3 s
    for _ in range(8):
        assert may_spend(line, Priority.FINAL)
    time.now_s += 3.0
    assert not may_spend(line, Priority.TYPING)


async def test_a_refusal_holds_its_own_chat_and_no_other(time):
    budget = Budget(Pace(limit=30, period_s=1.0), clock=time.clock, sleep=time.sleep)
    budget.hold("a", GROUP, 30.0)
    assert not may_call(budget, "a", GROUP, Priority.FINAL)
    assert may_call(budget, "b", GROUP, Priority.FINAL)
    budget.hold("b", GROUP, 5.0, is_account_wide=True)
    assert not may_call(budget, "c", GROUP, Priority.FINAL)
    time.now_s += 5.0
    assert may_call(budget, "c", GROUP, Priority.FINAL)
    assert not may_call(budget, "a", GROUP, Priority.FINAL)
    time.now_s += 25.0
    assert may_call(budget, "a", GROUP, Priority.FINAL)


async def test_slow_calls_stretch_the_interval_and_quick_ones_shorten_it_again(time):
    line = Line(Pace(limit=50, period_s=5.0, interval_s=1.0), time.clock, time.sleep)

    def waits_s():
        started_s = time.now_s
        assert may_spend(line, Priority.EDIT)
        while not may_spend(line, Priority.EDIT):
            time.now_s += 0.25
        waited_s = time.now_s - started_s
        time.now_s += 60.0
        return waited_s

    assert waits_s() == 1.0
    line.observe(4.0)
    assert waits_s() == 6.0
    for _ in range(4):
        line.observe(0.1)
    assert waits_s() == 1.0


async def test_a_waiter_that_gives_up_lets_the_next_one_through(time):
    line = Line(Pace(limit=1, period_s=1.0), time.clock, time.sleep)
    await spend(line, Priority.FINAL)
    done = []
    first = asyncio.ensure_future(spend(line, Priority.FINAL))
    second = asyncio.ensure_future(spend(line, Priority.EDIT, done, "second"))
    await settle()
    first.cancel()
    await time.advance(1.0)
    await second
    assert done == ["second"]


async def test_chats_that_are_silent_are_forgotten(time):
    budget = Budget(None, clock=time.clock, sleep=time.sleep)
    for number in range(5000):
        assert may_call(budget, number, GROUP, Priority.FINAL)
        time.now_s += 1.0
    assert len(budget._lines) < 1100
