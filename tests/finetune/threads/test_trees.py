"""Conversations from links."""

from finetune.conversation import LinkKind
from finetune.threads.linking import Link
from finetune.threads.trees import LONGEST_TREE, Tree, trees
from tests.finetune.threads.chats import chat, said

DAY_MINUTES = 24 * 60
ROOT = Link(None, LinkKind.ROOT)


def test_what_hangs_together_is_one_tree_and_each_message_is_in_one():
    messages = chat(*((0, said("ann", "x")) for _ in range(5)))
    links = [ROOT, ROOT, Link("m0", LinkKind.INFERRED), Link("m1", LinkKind.REPLY), Link("m2", LinkKind.ADDRESSED)]
    assert trees(messages, links) == [Tree((0, 2, 4), (None, 0, 1)), Tree((1, 3), (None, 0))]


def test_an_inferred_answer_after_more_than_a_day_starts_another():
    messages = chat((0, said("ann", "x")), (DAY_MINUTES + 1, said("bob", "y")))
    assert trees(messages, [ROOT, Link("m0", LinkKind.INFERRED)]) == [Tree((0,), (None,)), Tree((1,), (None,))]
    assert trees(messages, [ROOT, Link("m0", LinkKind.REPLY)]) == [Tree((0, 1), (None, 0))]


def test_a_conversation_that_goes_on_for_ever_is_cut():
    messages = chat(*((number, said("ann", "x")) for number in range(3 * LONGEST_TREE)))
    chain = [ROOT, *(Link(f"m{number}", LinkKind.INFERRED) for number in range(3 * LONGEST_TREE - 1))]
    assert [len(tree.numbers) for tree in trees(messages, chain)] == [LONGEST_TREE] * 3


def test_replies_are_never_cut():
    messages = chat(*((number, said("ann", "x")) for number in range(LONGEST_TREE + 9)))
    chain = [ROOT, *(Link(f"m{number}", LinkKind.REPLY) for number in range(LONGEST_TREE + 8))]
    assert [len(tree.numbers) for tree in trees(messages, chain)] == [LONGEST_TREE + 9]
