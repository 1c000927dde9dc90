"""Stop strings that arrive in pieces."""

import random

from engine.stopping import StopMatcher


def _run(pieces: list[str], stop: list[str]) -> tuple[list[str], bool]:
    matcher, shown = StopMatcher(stop), []
    for piece in pieces:
        text, is_stopped = matcher.push(piece)
        shown.append(text)
        if is_stopped:
            return shown, True
    return [*shown, matcher.flush()], False


def test_a_stop_string_across_pieces_ends_the_answer_before_it() -> None:
    shown, is_stopped = _run(["Hello\nUs", "er", ": hi"], ["\nUser:"])
    assert ("".join(shown), is_stopped) == ("Hello", True)


def test_text_that_only_begins_like_a_stop_string_is_shown_after_all() -> None:
    assert _run(["a\nUs", "e it"], ["\nUser:"]) == (["a", "\nUse it", ""], False)
    assert _run(["a\nUs"], ["\nUser:"]) == (["a", "\nUs"], False)


def test_text_that_cannot_begin_a_stop_string_is_shown_at_once() -> None:
    assert _run(["one", "two"], ["END"])[0] == ["one", "two", ""]


def test_without_stop_strings_everything_passes() -> None:
    assert _run(["a", "b"], ["", ""]) == (["a", "b", ""], False)


def test_any_cutting_of_any_text_gives_what_a_plain_search_gives() -> None:
    rng = random.Random(0)
    for _ in range(3000):
        text = "".join(rng.choices("ab", k=rng.randrange(12)))
        stop = ["".join(rng.choices("ab", k=rng.randrange(1, 4))) for _ in range(rng.randrange(1, 3))]
        cuts = sorted(rng.choices(range(len(text) + 1), k=4))
        pieces = [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]
        shown, is_stopped = _run(pieces, stop)
        # The first piece that completes a stop string ends the answer at its earliest beginning.
        ends = [end for end in (*cuts, len(text)) if any(s in text[:end] for s in stop)]
        seen = text[: ends[0]] if ends else text
        starts = [seen.find(s) for s in stop if s in seen]
        expected = seen[: min(starts)] if starts else text
        assert ("".join(shown), is_stopped) == (expected, bool(starts)), (pieces, stop)
