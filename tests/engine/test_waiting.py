"""The waiting queue: order, turns and places."""

import random
from dataclasses import dataclass

import pytest

from engine.waiting import WaitingQueue


@dataclass(eq=False)
class Item:
    chat: str
    number: int


def _queue(chats: str) -> tuple[WaitingQueue[Item], list[Item]]:
    queue: WaitingQueue[Item] = WaitingQueue()
    items = [Item(chat, i) for i, chat in enumerate(chats)]
    for item in items:
        queue.push(item)
    return queue, items


def test_chats_take_turns_and_each_keeps_its_own_order() -> None:
    queue, _ = _queue("aaaabc")
    assert [(i := queue.pop()).chat + str(i.number) for _ in range(6)] == ["a0", "b4", "c5", "a1", "a2", "a3"]


def test_a_newcomer_waits_for_one_item_of_a_busy_chat_at_most() -> None:
    queue, _ = _queue("a" * 50)
    queue.pop()
    late = Item("b", 99)
    queue.push(late)
    assert queue.position(late) <= 2


def test_places_tell_the_order_in_which_items_come_out() -> None:
    rng = random.Random(1)
    for _ in range(300):
        queue, items = _queue("".join(rng.choices("abcd", k=rng.randrange(1, 12))))
        for _ in range(rng.randrange(len(items))):
            queue.pop()
        waiting = queue.items()
        assert [queue.position(item) for item in waiting] == list(range(1, len(waiting) + 1))
        assert [queue.pop() for _ in waiting] == waiting


def test_an_item_can_be_taken_out_wherever_it_stands() -> None:
    queue, items = _queue("aab")
    assert queue.remove(items[0])
    assert not queue.remove(items[0])
    assert queue.position(items[0]) == 0
    assert queue.items() == [items[1], items[2]]
    assert len(queue) == 2


def test_an_empty_queue_says_so() -> None:
    queue, _ = _queue("")
    with pytest.raises(KeyError):
        queue.pop()
