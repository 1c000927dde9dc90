"""The adapter on a network with accounts, and what it makes of refusals."""

import asyncio
import inspect
import socket
import ssl

import pytest
from bots.errors import AccountError, BotError, ForbiddenError, RateLimitedError, UnreachableError
from bots.message import ChatRef
from scripted_network import ScriptedNetwork

from mynah_irc.connection import FOREIGN, TRANSLATIONS, Login, login_refusal, refusal, translated
from mynah_irc.protocol import Line


async def events_of(adapter, count):
    events = adapter.events()
    found = [await asyncio.wait_for(anext(events), 20) for _ in range(count)]
    await events.aclose()
    return found


async def test_it_logs_in_by_sasl_where_that_is_offered():
    async with ScriptedNetwork(password="sesame") as network:
        async with network.adapter("sesame") as adapter:
            assert adapter.account == "mynah@127.0.0.1"
        assert "CAP REQ :account-tag message-tags sasl" in network.typed
        with pytest.raises(AccountError, match="IRC_PASSWORD"):
            await network.adapter("wrong").__aenter__()


async def test_without_a_password_it_does_not_try_to():
    async with ScriptedNetwork() as network:
        async with network.adapter():
            pass
        assert "CAP REQ :account-tag message-tags" in network.typed
        assert not any(line.startswith(("AUTHENTICATE", "PASS")) for line in network.typed)


async def test_people_are_known_by_their_account_and_else_by_nick_and_host():
    async with ScriptedNetwork() as network, network.adapter() as adapter:
        network.feed("@account=Ann :ann!u@h PRIVMSG mynah :one")
        network.feed("@account=Ann :Annie!v@i PRIVMSG #x :two")
        network.feed(":ANN!u@h PRIVMSG mynah :three")
        network.feed("@+account=Ann :mallory!u@h PRIVMSG mynah :four")
        network.feed("@account=ANN :Ann[a]!u@h PRIVMSG mynah :five")
        messages = await events_of(adapter, 5)
    ids = [message.author.id for message in messages]
    assert ids == ["account:ann", "account:ann", "ann!u@h", "mallory!u@h", "account:ann"]
    chats = [message.chat.chat for message in messages]
    assert chats == ["ann!account:ann", "#x", "ann!u@h", "mallory!u@h", "ann{a}!account:ann"]


async def test_bots_are_marked_and_servers_statuses_and_itself_are_not_heard():
    async with ScriptedNetwork() as network, network.adapter() as adapter:
        network.feed(":irc.test PRIVMSG mynah :I am the server")
        network.feed(":mynah!u@h PRIVMSG #x :I am the bot")
        network.feed(":ann!u@h PRIVMSG @#x :operators only")
        network.feed(":ann!u@h PRIVMSG")
        network.feed("403 mynah")
        network.feed("@bot :parrot!u@h PRIVMSG #x :mynah: hello")
        network.feed(":ann!u@h PRIVMSG #x :hello")
        parrot, ann = await events_of(adapter, 2)
    assert (parrot.author.name, parrot.author.is_bot) == ("parrot", True)
    assert (ann.author.name, ann.author.is_bot) == ("ann", False)


async def test_it_says_that_it_is_a_bot_where_that_can_be_said():
    async with ScriptedNetwork(tokens="BOT=B NETWORK=Birds") as network, network.adapter() as adapter:
        assert "MODE mynah +B" in network.typed
        assert adapter.account == "mynah@Birds"


async def test_a_ping_is_answered():
    async with ScriptedNetwork() as network, network.adapter() as adapter:
        network.feed("PING :are you there")
        network.feed(":ann!u@h PRIVMSG mynah :hello")
        await events_of(adapter, 1)
        await adapter.send(ChatRef("irc", adapter.account, "ann!u@h"), "hi")
        assert "PONG :are you there" in network.typed


async def test_a_refusal_of_one_chat_is_none_of_another():
    async with ScriptedNetwork() as network, network.adapter() as adapter:
        network.replies = ["404 mynah #other :Cannot send", "301 mynah ann :I am away"]
        await adapter.send(ChatRef("irc", adapter.account, "ann!u@h"), "hi")
        network.replies = ["439 mynah Ann :Target change too fast"]
        with pytest.raises(RateLimitedError):
            await adapter.send(ChatRef("irc", adapter.account, "ann!u@h"), "hi")


async def test_a_server_that_throws_it_out_says_why():
    async with ScriptedNetwork() as network, network.adapter() as adapter:
        network.feed("ERROR :Closing link (Excess Flood)")
        with pytest.raises(UnreachableError, match="Excess Flood"):
            await events_of(adapter, 1)


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        ("432 * mynah :Erroneous nickname", AccountError),
        ("433 * mynah :Nickname is already in use", AccountError),
        ("464 * :Password incorrect", AccountError),
        ("465 * :You are banned", AccountError),
        ("ERROR :Closing link (connecting too fast)", UnreachableError),
    ],
)
async def test_a_server_that_does_not_let_it_in_is_understood(said, kind):
    async with ScriptedNetwork(refusal=said) as network:
        with pytest.raises(kind, match=r"see|set|ask|did not answer"):
            await network.adapter().__aenter__()


# What RFC 2812 and its successors can say against something: all of these are errors.
NUMERICS = [*range(400, 600), 716]


@pytest.mark.parametrize("number", NUMERICS)
def test_every_error_that_a_server_may_reply_is_one_of_ours(number):
    error = refusal(Line(f"{number}", ("mynah", "#x", "no")))
    assert isinstance(error, RateLimitedError if number == 439 else ForbiddenError)


def test_replies_that_are_no_errors_are_taken_for_none():
    assert [n for n in range(400) if refusal(Line(f"{n:03}", ("mynah", "#x", "yes")))] == [263]
    login = Login("h", 1, "mynah")
    assert not any(login_refusal(Line(f"{n:03}", ("mynah", "yes")), login) for n in range(400))


def foreign_kinds():
    """What sockets, TLS and streams may raise."""
    found = {UnicodeError, EOFError, OSError, TimeoutError, ConnectionResetError, BrokenPipeError, UnicodeEncodeError}
    for module in (asyncio, asyncio.exceptions, socket, ssl):
        for _, kind in inspect.getmembers(module, inspect.isclass):
            if issubclass(kind, Exception) and not kind.__name__.startswith("_"):
                found.add(kind)
    # Wrong use of asyncio.
    return (
        found
        - {asyncio.InvalidStateError, asyncio.QueueEmpty, asyncio.QueueFull, asyncio.BrokenBarrierError}
        - {asyncio.SendfileNotAvailableError}
    )


@pytest.mark.parametrize("kind", sorted(foreign_kinds(), key=lambda kind: kind.__name__))
def test_everything_that_the_network_can_raise_is_translated(kind):
    assert issubclass(kind, FOREIGN)
    error = kind.__new__(kind)
    assert isinstance(translated(error), BotError)
    assert set(FOREIGN) <= set(TRANSLATIONS)
