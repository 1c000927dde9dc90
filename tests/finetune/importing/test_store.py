"""Imports on disk: each is there whole or not at all, can be removed, and forgets people."""

import json
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from bots.chatlog import FileCipher
from engine.speakers import Called
from finetune.errors import NoDataError, SourceFileError, StoreError
from finetune.importing.forgotten import Forgotten
from finetune.importing.store import Import, ImportStore, Origin, Removed, imported_messages, name_for
from finetune.message import Rating, SourceMessage
from finetune.rights import Right
from finetune.sealed import write_rows

ORIGIN = Origin("telegram", "telegram", "result.json", "ab" * 32, (("timezone", "Europe/Berlin"),))


def message(number: int, author: str = "ann", text: str = "hello", **more: object) -> SourceMessage:
    return SourceMessage(f"telegram:5:{number}", "telegram", "5", author, (text,), **more)  # type: ignore[arg-type]


@pytest.fixture
def store(tmp_path: Path, cipher: FileCipher) -> ImportStore:
    return ImportStore(tmp_path / "imports", cipher)


def add(
    store: ImportStore, messages: Iterable[SourceMessage], name: str = "chats", origin: Origin = ORIGIN, bad: int = 0
) -> Import:
    skipped = Counter({"no text": 2})
    return store.add(name, Right.parse("consent:forms"), origin, messages, lambda: (bad, skipped))


def names(store: ImportStore, tmp_path: Path) -> list[str]:
    return sorted(str(path.relative_to(tmp_path / "imports")) for path in (tmp_path / "imports").rglob("*"))


def test_an_import_comes_back_with_all_that_is_known_of_it(store: ImportStore) -> None:
    messages = [message(1), message(2, "ben", name="Ben", sent_at_ms=7, ratings=(Rating("ann", 1, "button"),))]
    done = add(store, messages, bad=3)
    assert (done.messages.rows, done.problems, done.skipped) == (2, 3, (("no text", 2),))
    assert store.find("chats") == done
    assert store.all() == [done]
    assert list(store.messages("chats")) == messages
    assert {each.source for each in imported_messages(store, [done])} == {"chats"}


def test_nothing_that_people_said_is_on_disk_in_the_clear(store: ImportStore, tmp_path: Path) -> None:
    add(store, [message(1, "Xanthippe", "verschwiegen")])
    data = b"".join(path.read_bytes() for path in (tmp_path / "imports").rglob("*") if path.is_file())
    assert b"consent:forms" in data  # we look at the right files
    for word in (b"Xanthippe", b"verschwiegen", b"telegram:5:1"):
        assert word not in data


def test_an_import_of_the_same_name_is_replaced_as_a_whole(store: ImportStore, tmp_path: Path) -> None:
    add(store, [message(n) for n in range(5)])
    done = add(store, [message(9)])
    assert list(store.messages("chats")) == [message(9)]
    rows = f"chats/messages-{done.messages.sha256[:16]}.rows"
    assert names(store, tmp_path) == ["chats", "chats/manifest.json", rows]


@pytest.mark.parametrize("before", [[], [message(1)]])
def test_an_import_that_breaks_off_leaves_what_was_there(store: ImportStore, before: list[SourceMessage]) -> None:
    if before:
        add(store, before)

    def breaking_off() -> Iterator[SourceMessage]:
        yield message(8)
        raise SourceFileError("it ends here")

    with pytest.raises(SourceFileError):
        add(store, breaking_off())
    found = store.find("chats")
    assert (found is not None) == bool(before)
    assert [each for done in store.all() for each in store.messages(done.name)] == before


def test_a_crash_between_the_messages_and_the_manifest_leaves_the_import_before(
    store: ImportStore, tmp_path: Path, cipher: FileCipher
) -> None:
    add(store, [message(1)])
    newer = add(ImportStore(tmp_path / "elsewhere", cipher), [message(2), message(3)])
    folder = tmp_path / "imports" / "chats"
    rows = f"messages-{newer.messages.sha256[:16]}.rows"
    shutil.copy(tmp_path / "elsewhere" / "chats" / rows, folder)  # as far as it had come
    (folder / ".manifest.json.unfinished").write_text('{"for')
    assert list(store.messages("chats")) == [message(1)]
    assert add(store, [message(2), message(3)]) == newer
    assert sorted(path.name for path in folder.iterdir()) == ["manifest.json", rows]


def test_an_import_without_messages_is_refused_with_the_reasons(store: ImportStore) -> None:
    with pytest.raises(SourceFileError, match=r"result\.json holds no message .* 4 bad rows, 2 skipped \(2 no text\)"):
        add(store, [], bad=4)
    assert store.all() == []


@pytest.mark.parametrize("name", ["", "A", "a/b", "..", ".hidden", "-x", "a b", "x" * 65, "\u00fcber", "a\n"])
def test_a_name_that_could_leave_the_folder_is_none(store: ImportStore, name: str) -> None:
    with pytest.raises(StoreError, match="is no name for an import"):
        add(store, [message(1)], name)
    assert store.find(name) is None
    assert not store.remove(name)


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("result.json", "result"),
        ("My Chat.JSON.gz", "my-chat"),
        ("WhatsApp Chat with \u00c4nne.txt", "whatsapp-chat-with-nne"),
        (".gz", "import"),
        ("\u65e5\u672c.txt", "import"),
        ("2024-12-31.log", "2024-12-31"),
        ("notes", "notes"),
        (f"{'a' * 64}.json", "a" * 64),
    ],
)
def test_a_file_gives_its_import_a_name(store: ImportStore, file: str, name: str) -> None:
    assert name_for(Path(file)) == name
    add(store, [message(1)], name)


def test_parts_of_an_export_with_a_long_name_have_names_of_their_own(store: ImportStore) -> None:
    one, two = (name_for(Path(f"{'a' * 80} part {n}.json")) for n in (1, 2))
    assert one != two
    for name in (one, two):
        add(store, [message(1)], name)


def test_a_removed_import_is_gone_for_good(store: ImportStore, tmp_path: Path) -> None:
    add(store, [message(1)])
    add(store, [message(2)], "others")
    assert store.remove("chats")
    assert not store.remove("chats")
    assert [each.name for each in store.all()] == ["others"]
    assert not any(name.startswith("chats") for name in names(store, tmp_path))
    with pytest.raises(StoreError, match="no import named chats"):
        store.messages("chats")


def test_what_a_killed_import_left_behind_can_be_removed(store: ImportStore, tmp_path: Path) -> None:
    folder = tmp_path / "imports" / "chats"
    folder.mkdir(parents=True)
    (folder / ".incoming.rows.unfinished").write_bytes(b"half of it")
    assert store.all() == []
    assert store.remove("chats")
    assert not folder.exists()


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format": 1, "right": "own"}', '{"format": 2}'])
def test_a_damaged_manifest_is_named_with_a_way_out_that_works(store: ImportStore, tmp_path: Path, text: str) -> None:
    add(store, [message(1)])
    (tmp_path / "imports" / "chats" / "manifest.json").write_text(text)
    with pytest.raises(StoreError, match=r"chats/manifest\.json is .*import the file again after: .* remove chats"):
        store.all()
    assert store.remove("chats")
    add(store, [message(1)])


def test_a_right_that_is_changed_in_the_manifest_to_something_else_is_noticed(
    store: ImportStore, tmp_path: Path
) -> None:
    add(store, [message(1)])
    path = tmp_path / "imports" / "chats" / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"right": "anything goes"}))
    with pytest.raises(StoreError, match=r"is damaged .*no right to train on"):
        store.find("chats")


def test_forgetting_removes_what_somebody_said_their_votes_and_where_others_call_them(store: ImportStore) -> None:
    votes = (Rating("ann", 1, "reaction"), Rating("ben", -1, "reaction"))
    called = SourceMessage("telegram:5:3", "telegram", "5", "cleo", ("ask ", Called("ann"), " or ", Called("ben")))
    add(store, [message(1, "ann"), message(2, "ben", ratings=votes), called])
    assert store.forget("telegram", "ann") == {"chats": 1}
    ben, cleo = store.messages("chats")
    assert ben == message(2, "ben", ratings=votes[1:])
    assert cleo.pieces == ("ask someone or ", Called("ben"))
    found = store.find("chats")
    assert found is not None
    assert found.messages.rows == 2
    assert store.forget("telegram", "ann") == {}


def test_forgetting_somebody_who_is_only_named_counts(store: ImportStore) -> None:
    add(store, [replace(message(1, "ben"), pieces=(Called("ann"), ": hello"))])
    assert store.forget("telegram", "ann") == {"chats": 0}
    assert [each.pieces for each in store.messages("chats")] == [("someone: hello",)]


def test_forgetting_is_for_all_imports_of_one_platform(store: ImportStore) -> None:
    add(store, [message(1, "7"), message(2, "8")], "one")
    add(store, [message(3, "7")], "two")
    add(store, [message(4, "7")], "other", replace(ORIGIN, platform="irc", format="irc"))
    assert store.forget("telegram", "7") == {"one": 1, "two": 1}
    assert list(store.messages("one")) == [message(2, "8")]
    assert list(store.messages("two")) == []
    assert list(store.messages("other")) == [message(4, "7")]


def test_who_forgets_a_stranger_changes_nothing(store: ImportStore) -> None:
    done = add(store, [message(1)])
    with pytest.raises(NoDataError, match="no import has messages by stranger on telegram, so nobody is forgotten"):
        store.forget("telegram", "ann", "stranger")
    assert store.all() == [done]
    assert list(store.messages(done.name)) == [message(1)]


def test_several_people_are_forgotten_at_once(store: ImportStore) -> None:
    add(store, [message(1, "ann"), message(2, "ben"), message(3, "cleo"), message(4, "ann")])
    assert store.forget("telegram", "ann", "Cleo") == {"chats": 3}
    assert [each.author for each in store.messages("chats")] == ["ben"]


def test_damaged_messages_are_named_with_what_to_do(store: ImportStore, tmp_path: Path) -> None:
    done = add(store, [message(1)])
    (path,) = (tmp_path / "imports" / "chats").glob("*.rows")
    path.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(StoreError, match=r"messages-.*breaks off.*; import the file again"):
        list(store.messages("chats"))
    assert store.has_messages(done)
    path.unlink()
    assert not store.has_messages(done)


def test_forgetting_somebody_takes_the_name_out_of_what_others_wrote(store: ImportStore) -> None:
    said = [("Bob", "hello everybody"), ("Ann", "Bob: are you there?"), ("Ann", "I mean you, Bob, not the plumber")]
    messages = [
        SourceMessage(f"irc:roses:{n}", "irc", "roses", name.lower(), (text,), name=name, sent_at_ms=n * 1000)
        for n, (name, text) in enumerate(said)
    ]
    origin = Origin("irc", "irc", "roses.log", "")
    with store.alone():
        store.add("roses", Right.parse("own"), origin, messages, lambda: (0, Counter()))
        assert store.forget("irc", "bob") == {"roses": 1}
    left = list(store.messages("roses"))
    assert [message.author for message in left] == ["ann", "ann"]
    assert not any("bob" in message.text.casefold() for message in left)


def talk(chat: str, *said: tuple[str, str]) -> list[SourceMessage]:
    return [
        SourceMessage(f"irc:{chat}:{n}", "irc", chat, name.lower(), (text,), name=name, sent_at_ms=n * 1000)
        for n, (name, text) in enumerate(said)
    ]


IRC = Origin("irc", "irc", "roses.log", "")


@pytest.mark.parametrize("given", ["hazel", "Hazel"])
def test_who_was_forgotten_is_in_no_later_import(store: ImportStore, tmp_path: Path, given: str) -> None:
    said = [("Hazel", "hello everybody"), ("Ann", "Hazel: are you there?"), ("Ann", "I mean Hazel, not the nut")]
    add(store, talk("roses", *said), "roses", IRC)
    assert store.forget("irc", given) == {"roses": 1}
    again = add(store, talk("tulips", *said), "tulips", IRC)
    assert again.skipped == (("forgotten before", 1), ("no text", 2))
    add(store, talk("daisies", *said[1:]), "daisies", IRC)  # where Hazel never speaks
    for name in ("roses", "tulips", "daisies"):
        texts = [message.text for message in store.messages(name)]
        assert texts == ["someone: are you there?", "I mean someone, not the nut"], name
        assert "hazel" not in "".join(str(message.to_json()) for message in store.messages(name)).lower()
    assert b"azel" not in (tmp_path / "imports" / "forgotten.rows").read_bytes()


def test_who_was_forgotten_by_id_is_known_by_name_where_an_export_has_no_ids(store: ImportStore) -> None:
    add(store, [message(1, "user7", name="Hazel"), message(2)])
    store.forget("telegram", "user7")
    done = add(store, [message(1, "Hazel", name="Hazel"), message(2)], "old")
    assert list(store.messages("old")) == [message(2)]
    assert dict(done.skipped)["forgotten before"] == 1


def test_an_import_with_nobody_but_the_forgotten_is_refused_and_says_so(store: ImportStore) -> None:
    add(store, [message(1, "7"), message(2)])
    store.forget("telegram", "7")
    with pytest.raises(SourceFileError, match="1 forgotten before"):
        add(store, [message(1, "7")], "again")


def test_all_who_were_forgotten_stay_so_and_other_platforms_are_not_concerned(store: ImportStore) -> None:
    add(store, [message(1, "7"), message(2, "8"), message(3)])
    store.forget("telegram", "7")
    store.forget("telegram", "8")
    add(store, [message(1, "7"), message(2, "8"), message(3)], "again")
    assert list(store.messages("again")) == [message(3)]
    add(store, talk("roses", ("7", "hello")), "roses", IRC)
    assert len(list(store.messages("roses"))) == 1


@pytest.mark.parametrize(
    ("name", "what"), [("forgotten.rows", "who was forgotten"), ("removed.rows", "what was removed")]
)
def test_no_import_may_take_the_place_of_a_list_of_ours(store: ImportStore, name: str, what: str) -> None:
    with pytest.raises(StoreError, match=rf"{name} is where we keep {what}; give another name"):
        add(store, [message(1)], name)


def test_when_somebody_was_first_forgotten_and_what_was_removed_is_known(tmp_path: Path, cipher: FileCipher) -> None:
    times = [datetime(2026, 11, day, 12, tzinfo=UTC) for day in (1, 2, 3)]
    store = ImportStore(tmp_path / "imports", cipher, now=iter(times).__next__)
    assert store.forgotten() == store.removed() == []
    add(store, [message(1, "7", name="Hazel"), message(2)])
    store.forget("telegram", "7")
    add(store, talk("roses", ("7", "hello"), ("Ann", "hello")), "roses", IRC)
    store.forget("irc", "7")
    assert store.remove("roses")
    assert store.forgotten() == [
        Forgotten("telegram", "7", ("Hazel",), times[0]),
        Forgotten("irc", "7", ("7",), times[1]),
    ]
    assert store.removed() == [Removed("roses", times[2])]


def test_who_was_forgotten_when_no_times_were_kept_is_so_still(
    store: ImportStore, tmp_path: Path, cipher: FileCipher
) -> None:
    with write_rows(tmp_path / "imports" / "forgotten.rows", cipher) as written:
        written.writer.write({"platform": "telegram", "author": "7", "names": ["Hazel"]})
    add(store, [message(1, "7"), message(2)])
    assert list(store.messages("chats")) == [message(2)]
