"""Personal data becomes placeholders, and nothing else does. Every number and name here is invented."""

import itertools
import json
import random
import subprocess
import sys
import time

import pytest

from engine.speakers import Called
from finetune.cleaning.personal import TYPES, PersonalData
from finetune.fate import Outcome
from finetune.message import SourceMessage


def message(*pieces):
    return SourceMessage(id="test:chat:1", platform="test", chat="chat", author="a", pieces=pieces)


@pytest.fixture(scope="module")
def personal():
    return PersonalData()


@pytest.fixture(scope="module")
def redact(personal):
    return lambda text: "".join(personal.redact(message(text))[0].pieces)


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("write to ann.lee+x@mail.example.org.", "write to <EMAIL>."),
        ("ann (at) example (dot) org", "<EMAIL>"),
        ("ann[at]example.org", "<EMAIL>"),
        ("see https://example.org/a_(b)?c=d#e, please", "see <URL>, please"),
        ("(www.example.org)", "(<URL>)"),
        ("look at example.com/page or on example.org!", "look at <URL> or on <URL>!"),
        ("irc://chat.example.net/room", "<URL>"),
        ("call +46 (0)8 928 571 38", "call <PHONE>"),
        ("+447700900123", "<PHONE>"),
        ("555-867-5309 x12 or (555) 867-5309", "<PHONE> or <PHONE>"),
        ("it is 07700 900 123", "it is <PHONE>"),
        ("Phone: 867 5309", "Phone: <PHONE>"),
        ("867 5309 (mobile)", "<PHONE> (mobile)"),
        ("4111 1111 1111 1111", "<CARD>"),
        ("my card 378282246310005 expires", "my card <CARD> expires"),
        ("GB82 WEST 1234 5698 7654 32 please", "<IBAN> please"),
        ("de89370400440532013000", "<IBAN>"),
        ("078-05-1120", "<SSN>"),
        ("my ssn is 078051120", "my ssn is <SSN>"),
        ("My account number is 35131510.", "My account number is <ID>."),
        ("from 203.0.113.77:8080 and 198.51.100.7/24", "from <IP>:8080 and <IP>/24"),
        ("203.0.113.5-203.0.113.99", "<IP>-<IP>"),
        ("2001:db8:85a3::8a2e:370:7334", "<IP>"),
        ("ping 2001:db8:85a3::8a2e:370:7334: no answer", "ping <IP>: no answer"),
        ("my ip is 4.2.2.1", "my ip is <IP>"),
        ("00:1b:44:11:3a:b7", "<MAC>"),
        ("pay 1BoatSLRHtKNngkdXEeobR76b53LETtpyT", "pay <CRYPTO>"),
        ("bc1qar0srrr7xfkvy5l643lydnw9re59gtzzwf5mdq", "<CRYPTO>"),
        ("0x" + "a1" * 20, "<CRYPTO>"),
        ("I live at 12 Old Mill Road, Suite 4", "I live at <ADDRESS>"),
        ("Lindenstra\u00dfe 12", "<ADDRESS>"),
        ("P.O. Box 104", "<ADDRESS>"),
        ("in /home/annlee/.config", "in /home/<USER>/.config"),
        (r"C:\Users\annlee\Desktop", r"C:\Users\<USER>\Desktop"),
        ("4111.1111.1111.1111", "<CARD>"),
        ("0171_234_5678", "<PHONE>"),
        ("+49_171_2345678", "<PHONE>"),
        ("ann.lee @ example.org", "<EMAIL>"),
        ("mail me: ann @ example.org", "mail me: <EMAIL>"),
        ("+49 171\ufe0f 2345678!", "<PHONE>!"),
        ("+49\u2011171\u20112345678", "<PHONE>"),
        ("call 0171 \u2013 2345678", "call <PHONE>"),
        ("\uff10\uff11\uff17\uff11 2345678", "<PHONE>"),
        ("0\ufe0f\u20e31\ufe0f\u20e37\ufe0f\u20e31\ufe0f\u20e3 2345678", "<PHONE>"),
        ("ann\uff20example.org", "<EMAIL>"),
        ("ann@example\u3002org", "<EMAIL>"),
        ("192\u2024168\u20241\u20245", "<IP>"),
    ],
)
def test_personal_data_becomes_a_placeholder_of_its_type(redact, text, clean):
    assert redact(text) == clean


@pytest.mark.parametrize(
    "text",
    [
        "kernel 2.6.8.1-3-686 and linux-image-2.6.8.1",
        "firefox 1.5.0.9 or version 10.0.45.2",
        "gcc 4:4.3.1-1ubuntu2 on 8.04.1",
        "127.0.0.1, 0.0.0.0 and 255.255.255.0",
        "::1, std::vector and 12:34:56",
        "at 10:30 on 2004-11-15, or 15.11.2004 or 11/15/2004",
        "it costs 1,299.00 or 1 299 000 for 640x480 in 1600 1200",
        "00 0-23 1-31 1-12 0-6 is a cron line",
        "1700000000000 is a time and 123456789012345678 an id",
        "4111 1111 1111 1112",
        "GB82 WEST 1234 5698 7654 33",
        "1BoatSLRHtKNngkdXEeobR76b53LETtpyU",
        "FF:FF:FF:FF:FF:FF",
        "edit setup.py, run.sh and a.out, e.g. now...etc",
        "/home/user and ~/x and /home/$USER",
        "<EMAIL> is what they typed, and <PHONE>",
        "see you at 8, room 101, 3 people, 50 % off",
        "100 200 3000 and 1024 768",
        "4.1111111111111 or 4111.1111.1111.1112",
        "a_2004_11_15_b and 20041115_123456",
        "see you @ work, 8 @ the corner",
        "\uff13\uff0e\uff11\uff14 and 2004\u20132005",
    ],
)
def test_numbers_of_other_kinds_stay(redact, text):
    assert redact(text) == text


def test_the_longest_find_counts_where_two_overlap(personal):
    text = "http://ann@203.0.113.77/4111111111111111"
    assert [(span.type, span.start, span.end) for span in personal.find(text)] == [("URL", 0, len(text))]


def test_what_became_of_a_message_names_types_and_numbers_but_no_data(personal):
    original = message("ann@example.org, bob@example.org ", Called("b"), " 555-867-5309")
    clean, (fate,) = personal.redact(original)
    assert clean.pieces == ("<EMAIL>, <EMAIL> ", Called("b"), " <PHONE>")
    assert (fate.id, fate.outcome, fate.reason) == (original.id, Outcome.CHANGED, "personal data")
    assert fate.detail == "2 EMAIL, 1 PHONE"


def test_a_message_without_personal_data_is_the_same_object_and_has_no_fate(personal):
    original = message("nothing to see, in 3 words")
    clean, fates = personal.redact(original)
    assert clean is original
    assert fates == ()


@pytest.mark.parametrize(
    ("pieces", "clean"),
    [
        (("+49 171", Called("b"), " 234 5678"), ("<PHONE>",)),
        (("it is +49 171 ", Called("b"), " 234 5678, ok ", Called("c")), ("it is <PHONE>, ok ", Called("c"))),
        (("ann", Called("b"), "@example.org"), ("<EMAIL>",)),
        (("4111 1111 ", Called("b"), "1111 ", Called("c"), "1111"), ("<CARD>",)),
        (("call me, ", Called("b"), ", at 867 5309"), ("call me, ", Called("b"), ", at <PHONE>")),
        (("hi ", Called("b"), " at 8, ", Called("c"), " at 9"), ("hi ", Called("b"), " at 8, ", Called("c"), " at 9")),
    ],
)
def test_who_is_called_in_the_middle_of_personal_data_does_not_hide_it(personal, pieces, clean):
    once, _ = personal.redact(message(*pieces))
    assert once.pieces == clean
    assert personal.redact(once) == (once, ())


def test_an_address_in_two_pieces_side_by_side_is_found(personal):
    assert personal.redact(message("ann@", "example.org"))[0].pieces == ("<EMAIL>",)


def test_redacting_twice_changes_nothing_and_spans_never_overlap(personal):
    chance = random.Random(11)
    parts = ["ann@", "example.org", ".", "1.2.3.4", "203.0.113.77", "+44", "7700", " ", "900123", "-", "555", "8675309"]
    parts += ["4111111111111111", "card", "phone", "<EMAIL>", "<PHONE>", "<", ">", "http://", "www.", "/home/", "bob"]
    parts += ["GB82WEST12345698765432", ":", "2001:db8::1:2", "00:1b:44:11:3a:b7", "(", ")", "078-05-1120", "x", "\n"]
    parts += [Called("b"), "\uff11", "\ufe0f", "\u2011", "@<URL>", " @ ", "_"]
    parts += ["account number", "at", "[", "]", "0", "1", "ip", "12 Old Mill Road", "@", "/", "v", "0x" + "a1" * 20]
    for _ in range(5_000):
        pieces = chance.choices(parts, k=chance.randint(1, 12))
        text = "".join(piece for piece in pieces if isinstance(piece, str))
        spans = personal.find(text)
        assert all(left.end <= right.start for left, right in itertools.pairwise(spans)), text
        once, _ = personal.redact(message(*pieces))
        assert personal.redact(once) == (once, ()), text


def test_every_type_has_a_placeholder_that_is_not_personal_data_itself(personal):
    for type in TYPES:
        assert personal.find(f"phone, card, account number: <{type}> 12") == ()


def test_a_long_text_made_to_be_slow_takes_no_more_than_a_few_seconds(personal):
    started_s = time.perf_counter()
    for part in (
        "1 ",
        "1",
        "a.",
        "a@",
        "1.1.",
        "A ",
        "a:",
        "12 A ",
        "(1) ",
        "a-",
        "/home/",
        "[at] ",
        "1-",
        "é",
        "aa.com ",
        "\uff11",
        "a1.",
        "1_",
        "a @ ",
    ):
        personal.find("1@/" + part * (4000 // len(part)))
    assert time.perf_counter() - started_s < 5


def test_nothing_is_asked_over_a_network_and_nothing_is_said():
    code = """
import json, socket
def refuse(*arguments, **options): raise AssertionError("a socket was opened")
socket.socket.connect = socket.getaddrinfo = refuse
from finetune.cleaning import PersonalData, SecretScanner
text = "ann@example.org, http://example.org, +447700900123, eyJhbGciOiJIUzI1NiJ9.eyJhIjoxfQ.x"
print(json.dumps([len(PersonalData().find(text)), len(SecretScanner().find(text))]))
"""
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr == ""
    assert json.loads(done.stdout)[0] == 3
