"""Several processes give what one would, in the same order, and leave none behind."""

import os
import signal
from collections.abc import Iterator
from itertools import islice

import pytest

from finetune.cleaning.messages import redacted, without_secrets
from finetune.cleaning.pool import BATCH, Pool
from finetune.errors import FinetuneError
from finetune.message import SourceMessage


def message(number: int) -> SourceMessage:
    words = ("hello there", "mail me: ann@example.org", "my password is hunter2!x")[number % 3]
    return SourceMessage(f"test:chat:{number}", "test", "chat", "ann", (f"{words} {number}",))


MESSAGES = [message(n) for n in range(3 * BATCH + 7)]


def test_two_processes_come_to_the_same_as_one_in_the_same_order() -> None:
    with Pool(1) as one, Pool(2) as two:
        for function in (without_secrets, redacted):
            alone = list(one.map(function, MESSAGES))
            assert list(two.map(function, MESSAGES)) == alone
            assert len(alone) == len(MESSAGES)
            assert any(fates for _, fates in alone)


def test_a_killed_process_is_told_of_in_words() -> None:
    with Pool(2) as pool, pytest.raises(FinetuneError, match="FINETUNE_WORKERS=1"):
        list(pool.map(_die, MESSAGES))


def _die(message: SourceMessage) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def test_no_more_is_taken_than_a_few_batches_ahead() -> None:
    taken = 0

    def source() -> Iterator[SourceMessage]:
        nonlocal taken
        for n in range(100 * BATCH):
            taken += 1
            yield message(n)

    with Pool(2) as pool:
        first = list(islice(pool.map(_id, source()), 3))
        assert first == ["test:chat:0", "test:chat:1", "test:chat:2"]
        assert taken <= 6 * BATCH


def _id(message: SourceMessage) -> str:
    return message.id


def test_without_anything_to_do_no_process_is_started() -> None:
    with Pool(0) as pool:
        assert list(pool.map(redacted, [])) == []
        assert pool._executor is None
