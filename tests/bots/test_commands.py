import random

import pytest

from bots.commands import (
    MAX_NAME,
    ArgumentError,
    Command,
    CommandTable,
    Invocation,
    Kind,
    Parameter,
    Permission,
    arguments_of,
    as_typed,
    explain_unknown,
    parse,
)
from bots.message import Mention


async def nothing(call):
    pass


def command(name, *parameters, **more):
    return Command(name, "for nothing", nothing, parameters, **more)


HELP, PERSONA, SECRET = command("help"), command("persona", Parameter("text", "words")), command("x", is_listed=False)
ASK = Command("ask", "a question", None, (Parameter("question", "what", is_required=True),))
TABLE = CommandTable([HELP, PERSONA, ASK, SECRET])

ANN, LEE = Mention("1", "Ann"), Mention("2", "Ann Lee")
ALL_KINDS = command(
    "all",
    Parameter("text", "a text"),
    Parameter("count", "how many", Kind.INTEGER),
    Parameter("size", "how large", Kind.NUMBER),
    Parameter("loud", "whether to shout", Kind.BOOLEAN),
    Parameter("who", "whom", Kind.PERSON),
    Parameter("colour", "which colour", choices=("Red", "light blue")),
    Parameter("rest", "more"),
)
EVERYTHING = {
    "text": "hello",
    "count": 3,
    "size": 0.5,
    "loud": True,
    "who": ANN,
    "colour": "Red",
    "rest": "and all\nthe rest",
}


# What is a command.


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("hello", "hello"),
        ("1/2 of it", "1/2 of it"),
        ("//etc/passwd", "/etc/passwd"),
        ("///", "//"),
        ("/help", Invocation("help", "", HELP)),
        ("/HELP", Invocation("help", "", HELP)),
        ("/persona  You are\na pirate ", Invocation("persona", "You are\na pirate", PERSONA)),
        ("/persona\nYou are", Invocation("persona", "You are", PERSONA)),
        ("/", Invocation("", "")),
        ("/ help", Invocation("help", "", HELP)),
        ("/nothing of ours", Invocation("nothing", "of ours")),
        ("/x", Invocation("x", "", SECRET)),
        ("/ask  What is up? ", "What is up?"),
        ("/ask", Invocation("ask", "", ASK)),
    ],
)
def test_a_slash_makes_a_command_and_two_make_a_message_with_one(text, expected):
    assert parse(text, TABLE) == expected


def test_commands_are_looked_up_as_they_are_now():
    table = CommandTable()
    assert parse("/help", table) == Invocation("help", "")
    table.add(HELP)
    assert parse("/help", table) == Invocation("help", "", HELP)
    table.remove(HELP)
    assert parse("/help", table) == Invocation("help", "")


@pytest.mark.parametrize(("typed", "meant"), [("hepl", "help"), ("pesona", "persona"), ("halp", "help")])
def test_an_unknown_command_names_the_nearest_one(typed, meant):
    text = explain_unknown(typed, TABLE)
    assert f"Did you mean /{meant}?" in text
    assert f"//{typed}" in text


def test_an_unknown_command_that_is_like_nothing_that_is_listed_points_to_the_help():
    for typed in ("xyzzy", "xx", ""):
        assert "/help" in explain_unknown(typed, TABLE)
        assert "/x" not in explain_unknown(typed, TABLE).replace(f"/{typed}", "")


# The table.


def test_a_name_is_given_once_and_the_one_who_has_it_is_named():
    table = CommandTable([command("roll", plugin="dice")])
    with pytest.raises(ValueError, match="/roll is taken by the plugin dice"):
        table.add(command("roll"))
    with pytest.raises(ValueError, match="/help is taken;"):
        CommandTable([HELP, HELP])


def test_only_the_very_command_is_taken_out_and_what_is_under_way_is_not_disturbed():
    table = CommandTable(TABLE.values())
    table.remove(command("help"))
    assert list(table) == ["help", "persona", "ask", "x"]
    for name in table:
        table.remove(table[name])
    assert (len(table), dict(table)) == (0, {})
    table.remove(HELP)


@pytest.mark.parametrize("name", ["", "Help", "1st", "a-b", "a b", "é", "_a", "a" * (MAX_NAME + 1), "a\n"])
def test_names_that_a_platform_would_refuse_are_refused(name):
    with pytest.raises(ValueError, match="is no name"):
        command(name)
    with pytest.raises(ValueError, match="is no name"):
        command("good", Parameter(name, "for nothing"))


def test_the_longest_name_is_fine():
    assert command("a" * MAX_NAME, Parameter("b_2", "for nothing")).usage == f"/{'a' * MAX_NAME} [b_2]"


def test_the_usage_says_what_cannot_be_left_out():
    assert ASK.usage == "/ask <question>"
    assert command("trigger", Parameter("when", "a"), Parameter("words", "b")).usage == "/trigger [when] [words]"


@pytest.mark.parametrize(
    ("permission", "shows", "without", "with_arguments"),
    [
        (Permission.EVERYONE, False, True, True),
        (Permission.CHAT_ADMIN, False, False, False),
        (Permission.CHAT_ADMIN, True, True, False),
        (Permission.OPERATOR, False, False, False),
    ],
)
def test_what_only_shows_something_is_free_without_arguments(permission, shows, without, with_arguments):
    made = command("x", permission=permission, shows_without_arguments=shows)
    assert (made.is_free(has_arguments=False), made.is_free(has_arguments=True)) == (without, with_arguments)


# Arguments.


@pytest.mark.parametrize(
    ("rest", "values"),
    [
        ("", {}),
        ("hello", {"text": "hello"}),
        ("hello 3 0.5", {"text": "hello", "count": 3, "size": 0.5}),
        ("hello\n3\t0.5", {"text": "hello", "count": 3, "size": 0.5}),
        ("loud:yes hello 3 0.5 @Ann red and all\nthe rest", EVERYTHING),
        ('"two words" 3', {"text": "two words", "count": 3}),
        ('"say \\"this\\" \\\\" 3', {"text": 'say "this" \\', "count": 3}),
        ('"a"b', {"text": '"a"b'}),
        ("count:3", {"count": 3}),
        ("count: 3 loud:No", {"count": 3, "loud": False}),
        ("size:1e3 hello", {"size": 1000.0, "text": "hello"}),
        ("who:@Ann hello", {"who": ANN, "text": "hello"}),
        ("who:@Ann Lee hello", {"who": LEE, "text": "hello"}),
        ('who:"@Ann Lee" text:"a b"', {"who": LEE, "text": "a b"}),
        ('colour:"LIGHT blue" -5', {"colour": "light blue", "text": "-5"}),
        ("rest:all that is left, count:3", {"rest": "all that is left, count:3"}),
        ('rest:"all" text:"first"', {"rest": "all", "text": "first"}),
        ('rest:"all" of it', {"rest": '"all" of it'}),
        ('rest:"all" other:"x"', {"rest": '"all" other:"x"'}),
        ("hello rest:two\nlines", {"text": "hello", "rest": "two\nlines"}),
        ("other:3", {"text": "other:3"}),
        ("text:text:x", {"text": "text:x"}),
        ("text:", {"text": ""}),
    ],
)
def test_arguments_come_in_order_or_by_name(rest, values):
    assert arguments_of(ALL_KINDS, rest, [ANN, LEE]) == values


def test_the_only_argument_is_all_that_is_typed():
    for rest in ('say "hi"', '"quoted"', "text:x", "two\nlines", "a  b"):
        assert arguments_of(PERSONA, rest) == {"text": rest}
    assert arguments_of(HELP, "whatever") == {}
    assert arguments_of(command("who", Parameter("who", "whom", Kind.PERSON)), "@Ann Lee", [ANN, LEE]) == {"who": LEE}


@pytest.mark.parametrize(
    ("rest", "complaint"),
    [
        ("count:x", "count is how many: a whole number, and 'x' is none"),
        ("count:1.5", "a whole number"),
        ("size:nan", "size is how large: a number, and 'nan' is none"),
        ("size:inf", "a number"),
        ("size:1e999", "a number"),
        ("loud:maybe", "loud is whether to shout: yes or no, and 'maybe' is neither"),
        ("who:Ann", "who is whom: please mention somebody"),
        ("who:@Bob", "please mention somebody"),
        ("colour:green", "'green' is nothing I know. Please take one of: Red, light blue"),
        (f"count:{'9' * 5000}", "a whole number"),
        ("count:", "a whole number"),
        ('"not closed', "a whole number"),
    ],
)
def test_what_is_not_what_it_should_be_is_said_so(rest, complaint):
    with pytest.raises(ArgumentError) as caught:
        arguments_of(ALL_KINDS, rest, [ANN, LEE])
    assert complaint in str(caught.value)


def test_what_is_missing_is_asked_for_with_what_it_is():
    with pytest.raises(ArgumentError, match="/ask <question>, where question is what"):
        arguments_of(ASK, "")


@pytest.mark.parametrize(
    ("given", "value"),
    [
        ("yes", True),
        ("On", True),
        ("TRUE", True),
        ("1", True),
        ("no", False),
        ("off", False),
        ("False", False),
        ("0", False),
    ],
)
def test_there_are_several_words_for_yes_and_no(given, value):
    assert arguments_of(ALL_KINDS, f"loud:{given}")["loud"] is value


def test_what_is_written_as_typed_is_read_as_it_was_given():
    rng = random.Random(11)
    pieces = ['"', "\\", " ", "\n", "@Ann", 'text:"', "rest:", "3", "é", "//", "'", "\t", "colour:red"]
    words = lambda: "".join(rng.choices(pieces, k=rng.randint(1, 8)))  # noqa: E731
    makers = {
        "text": words,
        "count": lambda: rng.randint(-(10**9), 10**9),
        "size": lambda: rng.choice([0.0, -1e-9, 1e300, rng.uniform(-9, 9)]),
        "loud": lambda: rng.choice([True, False]),
        "who": lambda: rng.choice([ANN, LEE]),
        "colour": lambda: rng.choice(["Red", "light blue"]),
        "rest": words,
    }
    for _ in range(2000):
        values = {name: make() for name, make in makers.items() if rng.random() < 0.5}
        text = as_typed(ALL_KINDS, {name: _typed(value) for name, value in values.items()})
        call = parse(text, {"all": ALL_KINDS})
        assert arguments_of(call.command, call.rest, [ANN, LEE]) == values, text


def _typed(value):
    match value:
        case bool():
            return "yes" if value else "no"
        case Mention():
            return f"@{value.name}"
    return str(value)


def test_a_command_with_one_argument_is_typed_without_quotes():
    assert as_typed(PERSONA, {"text": 'a "bird"'}) == '/persona a "bird"'
    assert as_typed(HELP, {}) == "/help"
    assert as_typed(ALL_KINDS, {"rest": "r", "text": 'a "b"'}) == '/all text:"a \\"b\\"" rest:"r"'
