"""One plain form of every text, and which messages go no further."""

import random
import unicodedata

import pytest

from engine.speakers import Called
from finetune.cleaning.normalise import normalise, normalised
from finetune.fate import Outcome
from finetune.message import Kind, Role, SourceMessage


def message(*pieces, **fields):
    return SourceMessage(id="test:chat:1", platform="test", chat="chat", author="a", pieces=pieces, **fields)


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("cafe\u0301", "caf\u00e9"),
        ("in\u200bvi\u2060si\ufeffble", "invisible"),
        ("\u202eleft\u202c", "left"),
        ("a\x00b\x07c\x9fd", "abcd"),
        ("\x0304,01red\x03 and \x1b[1;31mbold\x1b[0m", "red and bold"),
        ("one\ttwo   three\u00a0\u2003four", "one two three four"),
        ("one\r\ntwo\rthree\u2028four\x85five", "one\ntwo\nthree\nfour\nfive"),
        ("a \n\n \n\n b", "a\n\nb"),
        ("  trimmed \n", "trimmed"),
        ("half \ud83d of it", "half \ufffd of it"),
        ("whole \ud83d\ude00", "whole \U0001f600"),
        ("smuggled\U000e0068\U000e0069\U000e0101", "smuggled"),
        ("\u3164", ""),
    ],
)
def test_what_cannot_be_seen_goes_and_what_is_left_has_one_spelling(text, plain):
    assert normalise(text) == plain


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("hi <:wave:123456789012345678> all", "hi :wave: all"),
        ("<a:dance_2:42>", ":dance_2:"),
        ("ask <@123>, <@!123> or <@&99> in <#5>", "ask @someone, @someone or @someone in #channel"),
        ("see <t:1700000000:R> or <t:1700000000>", "see then or then"),
        ("try </play song:77>", "try /play song"),
        ("tg://user?id=99 knows", "@someone knows"),
        ("a < b and <b> stays, so does <3", "a < b and <b> stays, so does <3"),
    ],
)
def test_markup_of_a_platform_becomes_what_a_reader_sees(text, plain):
    assert normalise(text) == plain


@pytest.mark.parametrize(
    "text",
    [
        "\U0001f468\u200d\U0001f469\u200d\U0001f467",  # a family
        "\U0001f3f3\ufe0f\u200d\U0001f308",  # a flag of two pictures and a variation selector
        "\U0001f937\U0001f3fd\u200d\u2640\ufe0f",  # with a skin tone
        "\U0001f3f4\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f",  # England
        "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645",  # Persian, spelt with a non-joiner
        "\u2764\ufe0f",
    ],
)
def test_pictures_and_scripts_keep_what_joins_them(text):
    assert normalise(text) == text


def test_a_joiner_between_latin_letters_goes():
    assert normalise("pass\u200dword\u200c") == "password"


def test_spaces_inside_a_code_fence_stay():
    text = "look   here:\n```\nif  x:\n\n\n\n    y()\n```\nand    there"
    assert normalise(text) == "look here:\n```\nif  x:\n\n\n\n    y()\n```\nand there"


def test_a_text_that_went_through_once_stays_as_it_is():
    chance = random.Random(7)
    parts = ["a", "e", "\u0301", " ", "  ", "\n", "\t", "\r", "\u200b", "\u200d", "\u200c", "\ufe0f", "\U0001f468", "1"]
    parts += [
        "<",
        "@",
        ":",
        ">",
        "#",
        "t:",
        "a:",
        "```",
        "\x03",
        "\ud83d",
        "\ude00",
        "\u0627",
        "\u00a0",
        "\ufeff",
        "x:",
    ]
    parts += ["\x1b[", "m", "tg://user?id=", "<@1>", "\U0001f3f4", "\U000e0067", "\U000e007f", "/", "\u0915\u094d"]
    for _ in range(20_000):
        text = "".join(chance.choices(parts, k=chance.randint(0, 14)))
        once = normalise(text)
        assert normalise(once) == once, ascii(text)
        assert unicodedata.is_normalized("NFC", once)


def test_words_beside_somebody_called_by_name_keep_their_space():
    clean, fates = normalised(message("  hello   ", Called("b"), "  how are you ? "))
    assert clean.pieces == ("hello ", Called("b"), " how are you ?")
    assert [(fate.outcome, fate.reason) for fate in fates] == [(Outcome.CHANGED, "normalised")]


def test_a_message_that_is_in_plain_form_comes_back_without_a_fate():
    plain = message("hello ", Called("b"), " how are you?")
    assert normalised(plain) == (plain, ())


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (message("/start", kind=Kind.COMMAND), "command"),
        (message("so they said", kind=Kind.FORWARD), "forward"),
        (message("beep", is_bot=True), "another bot"),
        (message("beep", is_bot=True, role=Role.ASSISTANT, source="import"), "another bot"),
        (message(" \u200b \n"), "empty"),
        (message(Called("b"), " "), "empty"),
        (message(), "empty"),
    ],
)
def test_what_nobody_said_to_anybody_is_dropped_with_its_reason(bad, reason):
    clean, (fate,) = normalised(bad)
    assert clean is None
    assert (fate.id, fate.outcome, fate.reason) == (bad.id, Outcome.DROPPED, reason)


def test_our_own_answers_stay():
    answer = message("hello", is_bot=True, role=Role.ASSISTANT, source="log")
    assert normalised(answer) == (answer, ())
