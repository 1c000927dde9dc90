"""Commands of all kinds, for adapters to show and take; what they would do is of no interest to them."""

from bots.commands import Command, CommandTable, Kind, Parameter, Permission


async def nothing(call):
    """Do nothing, and say nothing."""


def command(name: str, *parameters: Parameter, **more: object) -> Command:
    return Command(name, f"what `/{name}` is for", nothing, parameters, **more)


COMMANDS = CommandTable(
    [
        command("start", is_listed=False),
        command("help"),
        Command("ask", "a question", None, (Parameter("question", "what", is_required=True),), is_public=True),
        command("stop", is_immediate=True),
        command("retry"),
        command("reset", permission=Permission.CHAT_ADMIN, is_public=True),
        command(
            "persona",
            Parameter("text", "who I am to be", suggestions=("default",)),
            permission=Permission.CHAT_ADMIN,
            shows_without_arguments=True,
            is_public=True,
        ),
        command(
            "trigger",
            Parameter("when", "which messages", choices=("addressed", "keywords", "every")),
            Parameter("words", "the words"),
            permission=Permission.CHAT_ADMIN,
            shows_without_arguments=True,
            is_public=True,
        ),
        command("model"),
        command("purge", permission=Permission.OPERATOR),
        command(
            "remind",
            Parameter("text", "what to say"),
            Parameter("who", "whom to remind", kind=Kind.PERSON, is_required=True),
            Parameter("by", "who asks", kind=Kind.PERSON),
            Parameter("times", "how often", kind=Kind.INTEGER),
            Parameter("hours", "how long", kind=Kind.NUMBER),
            Parameter("loudly", "whether to shout", kind=Kind.BOOLEAN),
            Parameter("rest", "more"),
        ),
        command("who", Parameter("person", "who", kind=Kind.PERSON, is_required=True)),
    ]
)
