"""The adapter against ngIRCd, a real server, with people on plain connections."""

import asyncio
import contextlib
import datetime
import ipaddress
import random
import string

import pytest
from bots.adapter import Pace
from bots.errors import (
    AccountError,
    AdapterClosedError,
    ForbiddenError,
    MessageTooLongError,
    UnreachableError,
    UnsupportedError,
)
from bots.message import Addressed, ChatRef, Text, User
from bots.testing import settle
from irc_stage import ROOM

from mynah_irc.adapter import MAX_ROWS
from mynah_irc.connection import NickTakenError


@contextlib.asynccontextmanager
async def listening(adapter):
    """An adapter that was entered, and the way to its next event."""
    async with adapter:
        events = adapter.events()
        yield lambda: asyncio.wait_for(anext(events), 20)
        await events.aclose()


async def test_a_private_message_is_direct_and_answered_where_it_came_from(stage):
    async with listening(stage.adapter) as next_event:
        stage.say("hello")
        message = await next_event()
        assert message.chat == stage.chat
        assert message.segments == (Text("hello"),)
        assert message.addressed == {Addressed.DIRECT}
        assert message.is_private
        assert message.author == User("irc", "ann!~ann@127.0.0.1", "ann")
        await stage.adapter.send(message.chat, "hi", reply_to=message.id)
        assert stage.ann.heard() == ["hi"]


async def test_in_a_channel_it_hears_everything_and_knows_what_is_for_it(stage):
    async with listening(stage.adapter) as next_event:
        for text in ("nice weather", "mynah: hello", "@MYNAH hello", "!help me", "!unknown", "mynah, /help"):
            stage.ann.say(ROOM.upper(), text)
        messages = [await next_event() for _ in range(6)]
        assert [(message.text, message.addressed) for message in messages] == [
            ("nice weather", set()),
            ("hello", {Addressed.MENTION}),
            ("hello", {Addressed.MENTION}),
            ("!help me", set()),
            ("!unknown", set()),
            ("/help", {Addressed.MENTION}),
        ]
        assert {message.chat for message in messages} == {stage.room}
        assert len({message.id for message in messages}) == 6
        assert not any(message.is_private for message in messages)


async def test_a_command_is_known_as_soon_as_it_exists_and_no_longer(stage):
    commands = {}
    async with listening(stage.new_adapter(commands=commands)) as next_event:
        stage.ann.say(ROOM, "!help me")
        assert (await next_event()).text == "!help me"
        commands["help"] = None
        stage.ann.say(ROOM, "!help me")
        message = await next_event()
        assert (message.text, message.addressed) == ("/help me", {Addressed.COMMAND})
        stage.say("!help")
        message = await next_event()
        assert (message.text, message.addressed) == ("/help", {Addressed.COMMAND, Addressed.DIRECT})
        del commands["help"]
        stage.ann.say(ROOM, "!help me")
        assert (await next_event()).addressed == set()


async def test_an_answer_in_a_channel_begins_with_the_nick_of_who_asked(stage):
    async with listening(stage.adapter) as next_event:
        stage.ann.say(ROOM, "mynah: hello")
        message = await next_event()
        await stage.adapter.send(message.chat, "hi\nthere", reply_to=message.id)
        await stage.adapter.notice(message.chat, "by the way")
        assert stage.ann.heard(ROOM) == ["ann: hi", "there", "by the way"]


async def test_what_the_bot_says_of_its_commands_can_be_typed_as_it_says(stage):
    adapter = stage.new_adapter(commands={"help": None})
    async with listening(adapter) as next_event:
        text = "/help: shows this, or `/help stop`\nfiles are in /usr/help and /helpers"
        await adapter.notice(stage.room, text)
        await adapter.send(stage.room, text)
        notice, _, reply, _ = heard = stage.ann.heard(ROOM)
        assert notice.endswith("!help: shows this, or !help stop")
        assert reply == "/help: shows this, or /help stop"
        assert heard[1] == heard[3] == "files are in /usr/help and /helpers"
        stage.ann.say(ROOM, notice.partition(":")[0])
        assert (await next_event()).text == "/help"


async def test_what_asks_the_program_or_says_nothing_is_no_message(stage):
    async with listening(stage.adapter) as next_event:
        stage.say("\x01VERSION\x01")
        stage.say(" \x02\x0f ")
        stage.ann.type("NOTICE mynah :I am a program", f"NOTICE {ROOM} :mynah: me, too")
        stage.say("\x01ACTION waves\x01")
        assert (await next_event()).text == "* ann waves"


@pytest.mark.parametrize(
    "text",
    [
        "hi\r\nQUIT :bye",
        "hi\nPART #birds\nJOIN 0",
        "\x01ACTION dances\x01",
        "\x01DCC SEND evil 2130706433 80 1\x01",
        "a\0b\rNICK evil\r\n:mynah!x@y PRIVMSG #birds :z",
        "```\nQUIT\r\n```",
        "> \r\nQUIT",
        "| a |\r\n|---|\r\n| QUIT\r |",
        "\x034red\x03 \x02bold\x02 \x16\x1d\x1f",
        ":irc.test.example KICK #birds ann",
    ],
)
async def test_nothing_that_a_model_writes_is_obeyed(stage, text):
    async with listening(stage.adapter):
        for chat in (stage.chat, stage.room):
            await stage.adapter.send(chat, text)
        heard = [*stage.ann.heard(), *stage.ann.heard(ROOM)]
        assert len(heard) >= 2
        assert not any(set(line) & {chr(code) for code in range(32)} for line in heard)
        stage.ann.type(f"NAMES {ROOM}", "WHOIS mynah")
    told = [line for line in stage.ann.lines if line.nick == "mynah"]
    assert {line.command for line in told} == {"JOIN", "PRIVMSG"}
    assert [line.params[3] for line in stage.ann.lines if line.command == "353"][-1].split() == ["mynah", "@ann"]


async def test_a_line_that_looks_like_an_order_to_other_bots_does_not_begin_as_one(stage):
    async with listening(stage.adapter):
        await stage.adapter.send(stage.room, "!op mallory\n.kick ann\n" + "x" * 389 + " !op mallory")
    for line in stage.ann.heard(ROOM):
        assert line[0] not in "!."


async def test_a_long_text_arrives_whole_in_lines_that_the_server_does_not_cut(stage):
    async with listening(stage.adapter):
        caps = stage.adapter.caps(stage.room)
        rng = random.Random(5)
        letters = string.ascii_letters + "é漢🙂" * 10
        text = "".join(rng.choice(letters) for _ in range(2000))
        while caps.length(text) > caps.max_length:
            text = text[:-1]
        await stage.adapter.send(stage.room, text)
        heard = stage.ann.heard(ROOM)
        assert "".join(heard) == text
        assert len(heard) == MAX_ROWS
        await stage.adapter.send(stage.room, "\n".join("abcd"))
        with pytest.raises(MessageTooLongError):
            await stage.adapter.send(stage.room, "\n".join("abcde"))
        assert stage.ann.heard(ROOM)[MAX_ROWS:] == list("abcd")


async def test_lines_go_out_no_faster_than_the_pace(stage):
    adapter = stage.new_adapter(channels=(), line_pace=Pace(limit=3, period_s=0.2))
    async with adapter:
        started_s = asyncio.get_running_loop().time()
        await asyncio.gather(*(adapter.send(stage.chat, "a\nb") for _ in range(5)))
        assert asyncio.get_running_loop().time() - started_s >= 3 * 0.2
    assert stage.ann.heard() == ["a", "b"] * 5


async def test_operators_of_the_channel_are_its_moderators_as_long_as_they_are(stage):
    bob = stage.person("bob")
    bob.type(f"JOIN {ROOM}")
    async with listening(stage.adapter) as next_event:
        stage.ann.say(ROOM, "I have made this channel")
        ann = (await next_event()).author
        bob.say(ROOM, "I have not")
        bob_author = (await next_event()).author
        assert await stage.adapter.is_moderator(stage.room, ann)
        assert not await stage.adapter.is_moderator(stage.room, bob_author)
        assert not await stage.adapter.is_moderator(stage.room, User("irc", "account:ann", "ann"))
        stage.ann.type(f"MODE {ROOM} +h bob")
        assert await stage.adapter.is_moderator(stage.room, bob_author)
        stage.ann.type(f"MODE {ROOM} -h+v bob bob", f"MODE {ROOM} -o ann")
        assert not await stage.adapter.is_moderator(stage.room, bob_author)
        assert not await stage.adapter.is_moderator(stage.room, ann)


async def test_who_takes_somebodys_nick_gets_neither_their_rights_nor_their_chat(stage):
    bob = stage.person("bob")
    bob.type("USER x 0 * :x", f"JOIN {ROOM}")
    async with listening(stage.adapter) as next_event:
        stage.ann.say(ROOM, "mynah: me")
        ann = (await next_event()).author
        stage.ann.type("NICK ann2")
        bob.type("NICK ann")
        assert not await stage.adapter.is_moderator(stage.room, ann)
        bob.say("mynah", "what did I say before?")
        message = await next_event()
        assert message.author.id != ann.id
        assert message.chat != stage.chat
        await stage.adapter.send(message.chat, "nothing")
        assert bob.heard("ann") == ["nothing"]


async def test_what_cannot_be_said_is_forbidden_and_all_else_goes_on(stage):
    async with listening(stage.adapter):
        gone = ChatRef("irc", stage.adapter.account, "nobody!~nobody@127.0.0.1")
        elsewhere = ChatRef("irc", stage.adapter.account, "#elsewhere")
        stage.ann.type("JOIN #elsewhere", "MODE #elsewhere +n", f"MODE {ROOM} +m")
        for chat in (gone, elsewhere, stage.room):
            with pytest.raises(ForbiddenError):
                await stage.adapter.send(chat, "is anybody there?\nhello?")
        await stage.adapter.send(stage.chat, "I am still here")
        assert stage.ann.heard() == ["I am still here"]


async def test_sends_at_the_same_time_keep_their_lines_together_and_their_errors_apart(stage):
    async with listening(stage.adapter):
        gone = ChatRef("irc", stage.adapter.account, "nobody!x@y")
        done = await asyncio.gather(
            *(stage.adapter.send(chat, f"{n}\n{n}") for n in range(5) for chat in (stage.chat, gone, stage.room)),
            return_exceptions=True,
        )
        assert [isinstance(each, ForbiddenError) for each in done] == [False, True, False] * 5
        pairs = [str(n) for n in range(5) for _ in range(2)]
        assert stage.ann.heard() == stage.ann.heard(ROOM) == pairs


async def test_files_there_are_none(stage):
    async with listening(stage.adapter) as next_event:
        stage.say("export, please")
        message = await next_event()
        with pytest.raises(UnsupportedError):
            await stage.adapter.hand_over(message.chat, "log.txt", b"x", reply_to=message.id)
        assert stage.ann.heard() == []


async def test_who_was_kicked_comes_back_after_a_while(stage):
    adapter = stage.new_adapter(ping_every_s=0.05, rejoin_after_s=0.2)
    async with listening(adapter):
        loop = asyncio.get_running_loop()
        kicked_s = loop.time()
        stage.ann.type(f"MODE {ROOM} +n", f"KICK {ROOM} mynah :out")
        with pytest.raises(ForbiddenError):
            await adapter.send(stage.room, "why?")
        await stage.ann.meanwhile(lambda line: line.command == "JOIN" and line.nick == "mynah")
        assert loop.time() - kicked_s > 0.15
        await adapter.send(stage.room, "hello again")
        assert stage.ann.heard(ROOM) == ["hello again"]


async def test_a_channel_that_does_not_let_it_in_is_tried_again_and_holds_up_nothing(stage, caplog):
    stage.ann.type(f"MODE {ROOM} +i")
    adapter = stage.new_adapter(channels=[ROOM, "#open"], ping_every_s=0.05, rejoin_after_s=0.05)
    async with listening(adapter):
        assert f"not in {ROOM} for now" in caplog.text
        stage.ann.type(f"MODE {ROOM} -i")
        await stage.ann.meanwhile(lambda line: line.command == "JOIN" and line.nick == "mynah")


async def test_a_nick_that_somebody_else_has_is_the_operators_business(stage):
    async with stage.adapter:
        with pytest.raises(AccountError, match="IRC_NICK"):
            await stage.new_adapter().__aenter__()
        with pytest.raises(AccountError, match="IRC_NICK"):
            await stage.new_adapter(login=stage.login(nick="longer-than-nicks-may-be")).__aenter__()


async def test_a_nick_that_our_dead_connection_holds_is_waited_for(stage):
    had = set()
    async with stage.new_adapter(had=had):
        with pytest.raises(UnreachableError):
            await stage.new_adapter(had=had).__aenter__()
        with pytest.raises(NickTakenError):
            await stage.new_adapter().__aenter__()
    async with stage.new_adapter(had=had):
        pass


async def test_a_nick_that_the_server_changes_is_the_one_it_answers_to(stage):
    async with listening(stage.adapter) as next_event:
        stage.adapter._link.write("NICK starling")  # as services do to who does not log in
        await stage.ann.meanwhile(lambda line: line.command == "NICK")
        stage.ann.say(ROOM, "starling: hello")
        message = await next_event()
        assert (message.text, message.addressed) == ("hello", {Addressed.MENTION})
        assert message.chat == stage.room
        stage.ann.say("starling", "hello")
        assert (await next_event()).chat == stage.chat


async def test_a_server_that_is_gone_is_said_and_a_new_adapter_works_once_it_is_back(stage):
    async with listening(stage.adapter) as next_event:
        stage.server.stop()
        with pytest.raises(UnreachableError):
            await next_event()
        with pytest.raises(AdapterClosedError):
            await stage.adapter.send(stage.chat, "hello?")
        assert not await stage.adapter.is_moderator(stage.room, User("irc", "x", "x"))
    with pytest.raises(UnreachableError) as caught:
        await stage.new_adapter().__aenter__()
    assert not caught.value.may_be_done
    stage.server.start()
    bob = stage.person("bob")
    adapter = stage.new_adapter()
    async with listening(adapter) as next_event:
        bob.say("mynah", "welcome back")
        await adapter.send((await next_event()).chat, "thank you")
        assert bob.heard() == ["thank you"]


async def test_a_silent_server_is_noticed_without_anybody_talking(stage):
    adapter = stage.new_adapter(ping_every_s=0.05, answer_within_s=0.2)
    async with listening(adapter) as next_event:
        stage.server.freeze()
        with pytest.raises(UnreachableError):
            await next_event()


async def test_a_message_that_is_not_acknowledged_may_have_arrived(stage):
    adapter = stage.new_adapter(answer_within_s=0.2)
    async with listening(adapter) as next_event:
        stage.server.freeze()
        with pytest.raises(UnreachableError) as caught:
            await adapter.send(stage.chat, "hello?")
        assert caught.value.may_be_done
        with pytest.raises(UnreachableError):
            await next_event()


async def test_leaving_while_something_is_sent_ends_that_at_once(stage):
    adapter = stage.new_adapter()
    await adapter.__aenter__()
    stage.server.freeze()
    sending = asyncio.ensure_future(adapter.send(stage.chat, "hello?"))
    await settle()
    async with asyncio.timeout(5):
        await adapter.__aexit__(None, None, None)
        with pytest.raises(AdapterClosedError):
            await sending


async def test_the_server_sees_it_leave(stage):
    async with stage.adapter:
        pass
    left = await stage.ann.meanwhile(lambda line: line.command == "QUIT" and line.nick == "mynah")
    assert left.params == ("mynah",)  # and not that the connection broke


async def test_a_servers_password_lets_it_in(start_ngircd):
    from irc_stage import IrcStage

    server = start_ngircd(options="Password = open sesame")
    stage = IrcStage(server)
    for password in ("", "wrong"):
        with pytest.raises(AccountError, match="IRC_PASSWORD"):
            await stage.new_adapter(login=stage.login(password=password)).__aenter__()
    async with stage.new_adapter(login=stage.login(password="open sesame")) as adapter:
        assert adapter.account == "mynah@TestNet"


@pytest.fixture
def certificate(tmp_path):
    """A file with a certificate of 127.0.0.1 that nobody else has signed, and one with its key."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.datetime.now(datetime.UTC)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1, now, now + datetime.timedelta(days=1))
    addresses = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    signed = builder.add_extension(addresses, critical=False).sign(key, hashes.SHA256())
    files = tmp_path / "cert.pem", tmp_path / "key.pem"
    files[0].write_bytes(signed.public_bytes(serialization.Encoding.PEM))
    files[1].write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return files


async def test_a_connection_is_encrypted_and_the_certificate_checked(start_ngircd, certificate, monkeypatch):
    from irc_stage import IrcStage

    cert, key = certificate
    stage = IrcStage(start_ngircd(ssl=f"CertFile = {cert}\nKeyFile = {key}\nPorts = {{port}}"))
    login = stage.login(has_tls=True)
    with pytest.raises(UnreachableError, match="certificate"):
        await stage.new_adapter(login=login).__aenter__()
    monkeypatch.setenv("SSL_CERT_FILE", str(cert))
    async with stage.new_adapter(login=login) as adapter:
        with pytest.raises(ForbiddenError):
            await adapter.send(ChatRef("irc", adapter.account, "nobody!x@y"), "hello")
