"""Which questions both models are asked."""

from finetune.comparing.questions import Question, general, held_out
from finetune.dataset.example import Example, ExampleMessage

PROMPTS = [f"What is {n}?" for n in range(100)]


def example(number: int, conversation: int, *said: tuple[str, str, float]) -> Example:
    return Example(f"e{number}", f"c{conversation}", "log", tuple(ExampleMessage(*each) for each in said))


def test_general_questions_are_some_of_the_prompts_and_the_same_ones_in_any_order() -> None:
    asked = general(PROMPTS, "You are kind.", 40)
    assert len({question.id for question in asked}) == 40
    assert asked == general(reversed(PROMPTS), "You are kind.", 40)
    assert {question.messages[-1].content for question in asked} <= set(PROMPTS)
    assert all(question.messages[0].content == "You are kind." for question in asked)


def test_people_are_not_shown_the_persona() -> None:
    (asked,) = general(["Hello?"], "You are kind.", 1)
    assert [turn.content for turn in asked.turns] == ["Hello?"]


def test_of_a_held_out_conversation_all_is_asked_that_was_said_before_its_last_answer() -> None:
    said = [("system", "Be kind.", 0.0), ("user", "a", 0.0), ("assistant", "b", 1.0), ("user", "c", 0.0)]
    (asked,) = held_out([example(1, 1, *said, ("assistant", "the answer", 1.0))])
    assert [message.content for message in asked.messages] == ["Be kind.", "a", "b", "c"]


def test_a_conversation_is_asked_about_once_and_what_has_no_answer_not_at_all() -> None:
    one = [("user", "a", 0.0), ("assistant", "b", 1.0)]
    examples = [example(n, n // 2, *one) for n in range(10)]
    assert len(held_out(examples)) == 5
    assert held_out(examples) == held_out(reversed(examples))
    assert held_out([example(1, 1, ("user", "a", 0.0)), example(2, 2, ("assistant", "b", 1.0))]) == ()


def test_a_question_is_the_same_after_it_was_kept() -> None:
    (asked,) = general(["Hello?"], "You are kind.", 1)
    assert Question.from_json(asked.to_json()) == asked
