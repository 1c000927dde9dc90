"""`python -m benchmarks.redaction DATA`: how much personal data and how many secrets are found, and how much else.

DATA is the folder with the corpora that the table below names; `--presidio` measures the recognisers of
presidio-analyzer beside ours, on the same sentences. A span counts as found if a find of its type overlaps it, and a
find as right if it overlaps a span of its type. Of the secrets, a text counts as found if a find overlaps an expected
one; a message dropped that is to have none is a wrong find. In ordinary chat, finds are counted and nobody has said
which of them are right: a sample of them is for the reader, with `--show`.
"""

import argparse
import gzip
import json
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import phonenumbers
from phonenumbers import PhoneNumber, PhoneNumberFormat, PhoneNumberType

from finetune.cleaning import PersonalData, SecretScanner, Span

# Labels of presidio-research by our types; those of names, places, times and the like are nobody's here.
TYPES = {
    "EMAIL_ADDRESS": "EMAIL",
    "PHONE_NUMBER": "PHONE",
    "CREDIT_CARD": "CARD",
    "IBAN_CODE": "IBAN",
    "IP_ADDRESS": "IP",
    "US_SSN": "SSN",
    "US_DRIVER_LICENSE": "ID",
    "DOMAIN_NAME": "URL",
    "STREET_ADDRESS": "ADDRESS",
}
CHATS = ("irc-disentanglement/train", "star/dialogues", "self-dialogue/dialogues")
ROUNDS = 3

Find = Callable[[str], Iterable[Span]]
Row = dict[str, Any]


def rows(path: Path) -> Iterator[Row]:
    """The objects of a compressed file of JSON lines."""
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        yield from map(json.loads, lines)


def texts(path: Path) -> Iterator[str]:
    """What people said in a corpus, without what the server said about them."""
    for row in rows(path):
        for turn in row.get("turns") or row["messages"]:
            if turn.get("kind", "message") in ("message", "action"):
                yield turn["text"]


def overlaps(find: Any, start: int, end: int) -> bool:
    """Whether a find and `text[start:end]` have a character in common."""
    return bool(find.start < end and start < find.end)


def personal_counts(labelled: Sequence[Row], find: Find) -> dict[str, Counter[str]]:
    """By type: spans, how many of them were found, finds, and how many of these are right."""
    counts: dict[str, Counter[str]] = {type: Counter() for type in TYPES.values()}
    for row in labelled:
        finds = list(find(row["text"]))
        spans = [(TYPES.get(span["type"]), span["start"], span["end"]) for span in row["spans"]]
        for type, start, end in spans:
            if type is not None:
                counts[type]["spans"] += 1
                counts[type]["found"] += any(one.type == type and overlaps(one, start, end) for one in finds)
        for one in finds:
            count = counts.setdefault(one.type, Counter())
            count["finds"] += 1
            count["right"] += any(one.type == type and overlaps(one, start, end) for type, start, end in spans)
    return counts


def personal_table(labelled: Sequence[Row], find: Find) -> str:
    """A Markdown table by type."""
    head = "| type | spans | recall | finds | precision |\n|---|---|---|---|---|"
    counts = personal_counts(labelled, find)
    lines = [
        f"| {type} | {count['spans']} | {_share(count['found'], count['spans'])} "
        f"| {count['finds']} | {_share(count['right'], count['finds'])} |"
        for type, count in counts.items()
        if count
    ]
    return "\n".join([head, *lines])


def secrets_table(samples: Sequence[Row], scanner: SecretScanner, personal: PersonalData) -> str:
    """A Markdown table: what the secret rules find, and what they and the placeholders keep out together."""
    lines = ["| | texts with a secret | recall | texts with a find | precision |", "|---|---|---|---|---|"]
    kinds: dict[str, Callable[[str], Iterable[Any]]] = {
        "dropped": scanner.find,
        "dropped, or replaced as personal data": lambda text: (*scanner.find(text), *personal.find(text)),
    }
    secret = [sample for sample in samples if sample["has_secret"]]
    for name, find in kinds.items():
        found = sum(_is_found(sample, find) for sample in secret)
        wrong = sum(bool(scanner.find(sample["text"])) for sample in samples if not sample["has_secret"])
        share, precision = _share(found, len(secret)), _share(found, found + wrong)
        lines.append(f"| {name} | {len(secret)} | {share} | {found + wrong} | {precision} |")
    return "\n".join(lines)


def chat_table(data: Path, scanner: SecretScanner, personal: PersonalData, limit: int | None) -> str:
    """A Markdown table of finds per 10,000 messages of ordinary chat, and of messages per second on one core."""
    lines = [
        "| chat | messages | secrets | personal data | messages/s, secrets | personal |",
        "|---|---|---|---|---|---|",
    ]
    for chat in CHATS:
        said = list(islice(texts(data / f"{chat}.jsonl.gz"), limit))
        secrets = sum(bool(scanner.find(text)) for text in said)
        types = Counter(span.type for text in said for span in personal.find(text))
        found = ", ".join(f"{type} {_per_10_000(count, said)}" for type, count in types.most_common())
        speeds = f"{_per_second(scanner.find, said):,.0f} | {_per_second(personal.find, said):,.0f}"
        lines.append(f"| {chat} | {len(said):,} | {_per_10_000(secrets, said)} | {found} | {speeds} |")
    return "\n".join(lines)


def show(data: Path, scanner: SecretScanner, personal: PersonalData, limit: int) -> str:
    """Up to `limit` finds of each kind in ordinary chat, with what is around them, to be judged by a reader."""
    shown: Counter[str] = Counter()
    lines = []
    for text in (text for chat in CHATS for text in texts(data / f"{chat}.jsonl.gz")):
        kinds = [(found.rule, found.start, found.end) for found in scanner.find(text)]
        kinds += [(span.type, span.start, span.end) for span in personal.find(text)]
        for kind, start, end in kinds:
            shown[kind] += 1
            if shown[kind] <= limit:
                lines.append(f"{kind}: {text[max(0, start - 30) : start]}[{text[start:end]}]{text[end : end + 15]}")
    return "\n".join(sorted(lines))


def phone_table(find: Find) -> str:
    """A Markdown table: the numbers that phonenumbers has as examples of each country, which no rule was made after."""
    lines = ["| telephone numbers | numbers | recall |", "|---|---|---|"]
    for name, form in (("international", PhoneNumberFormat.INTERNATIONAL), ("national", PhoneNumberFormat.NATIONAL)):
        for sentence in ("call me: {}", "hey it is {}, bye"):
            numbers = [phonenumbers.format_number(number, form) for number in _example_numbers()]
            found = sum(_is_phone(find, sentence, number) for number in numbers)
            lines.append(f"| {name}, `{sentence}` | {len(numbers)} | {_share(found, len(numbers))} |")
    return "\n".join(lines)


def presidio() -> Find:
    """The finds of presidio's own recognisers, without the engine; not for e-mail, as that one opens a connection."""
    from presidio_analyzer import predefined_recognizers as known  # noqa: PLC0415  # takes 5 s, and few want it

    classes = (
        known.PhoneRecognizer,
        known.CreditCardRecognizer,
        known.IbanRecognizer,
        known.IpRecognizer,
        known.UrlRecognizer,
        known.UsSsnRecognizer,
    )
    recognisers = [make() for make in classes]

    def find(text: str) -> Iterator[Span]:
        for recogniser in recognisers:
            (entity,) = recogniser.supported_entities
            type = TYPES.get(entity, entity)
            for result in _analysed(recogniser, text, entity):
                yield Span(type, result.start, result.end)

    return find


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print Markdown tables; returns the exit code."""
    parser = argparse.ArgumentParser(prog="benchmarks.redaction", description=__doc__)
    parser.add_argument("data", type=Path, help="the folder with the corpora")
    parser.add_argument("--limit", type=int, help="look at so many messages of each chat; all if left out")
    parser.add_argument("--presidio", action="store_true", help="measure presidio-analyzer, too")
    parser.add_argument("--show", type=int, metavar="N", help="print N finds of each kind in the chats instead")
    options = parser.parse_args(arguments)
    started_s = time.perf_counter()
    scanner, personal = SecretScanner(), PersonalData()
    if options.show:
        print(show(options.data, scanner, personal, options.show))
        return 0
    labelled = list(rows(options.data / "pii" / "presidio-synth-v2.jsonl.gz"))
    samples = list(rows(options.data / "secrets" / "secretlint-part1.jsonl.gz"))
    print(f"## Personal data, {len(labelled):,} sentences\n\n{personal_table(labelled, personal.find)}\n")
    if options.presidio:
        print(f"## The same, presidio-analyzer\n\n{personal_table(labelled, presidio())}\n")
    print(f"{phone_table(personal.find)}\n")
    print(f"## Secrets, {len(samples)} texts\n\n{secrets_table(samples, scanner, personal)}\n")
    print(f"## Ordinary chat, finds per 10,000\n\n{chat_table(options.data, scanner, personal, options.limit)}\n")
    print(f"{time.perf_counter() - started_s:.0f} s in all", file=sys.stderr)
    return 0


def _analysed(recogniser: Any, text: str, entity: str) -> list[Any]:
    """Without a language model, of which patterns have no need."""
    return recogniser.analyze(text, [entity], None) or []


def _example_numbers() -> Iterator[PhoneNumber]:
    for region in sorted(phonenumbers.SUPPORTED_REGIONS):
        for type in (PhoneNumberType.MOBILE, PhoneNumberType.FIXED_LINE):
            if number := phonenumbers.example_number_for_type(region, type):
                yield number


def _is_phone(find: Find, sentence: str, number: str) -> bool:
    start = sentence.index("{")
    finds = find(sentence.format(number))
    return any(one.type == "PHONE" and one.start <= start and start + len(number) <= one.end for one in finds)


def _is_found(sample: Row, find: Callable[[str], Iterable[Any]]) -> bool:
    expected = [(finding["start"], finding["end"]) for finding in sample["findings"]]
    return any(overlaps(one, start, end) for one in find(sample["text"]) for start, end in expected)


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.3f}" if whole else "-"


def _per_10_000(count: int, said: Sequence[str]) -> str:
    return f"{count / len(said) * 10_000:.2f}"


def _per_second(find: Callable[[str], object], said: Sequence[str]) -> float:
    """Of several rounds, the fastest: the others were slowed down by something else."""
    best_s = float("inf")
    for _ in range(ROUNDS):
        started_s = time.perf_counter()
        for text in said:
            find(text)
        best_s = min(best_s, time.perf_counter() - started_s)
    return len(said) / best_s


if __name__ == "__main__":
    sys.exit(main())
