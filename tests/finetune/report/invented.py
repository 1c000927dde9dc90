"""A report of invented data, with something in every field."""

from finetune.report import (
    Check,
    Concentration,
    DataReport,
    Histogram,
    Preferences,
    Sample,
    SampleLine,
    SourceLine,
    SplitLine,
    StageLine,
    Threads,
    Times,
    Unit,
)

HOUR_MS = 3_600_000
NEW_YEAR_2024_MS = 1_704_067_200_000

SOURCES = (
    SourceLine("log", "chat log", "telegram", "consent", 60_000),
    SourceLine("garden club", "irc", "irc", "written agreement", 41_000, 300, "7 rows could not be read"),
)
STAGES = (
    StageLine("normalise", "2", Unit.MESSAGES, 101_000, 100_900, {"empty": 100}, {"link": 8_000}),
    StageLine("secrets", "1", Unit.MESSAGES, 100_900, 100_888, {"token": 9, "private key": 3}),
    StageLine("quality", "1", Unit.CONVERSATIONS, 9_000, 7_000, {"too short": 1_500, "mostly links": 500}),
    StageLine("replay", "1", Unit.EXAMPLES, 8_000, 8_900, {"over budget": 100}, {}, {"replay": 1_000}),
)
SAMPLE = Sample(
    "irc:garden:12",
    (
        SampleLine("A", "mara: mail me at ines@example.org", "[B]: mail me at [EMAIL]", ("mention", "e-mail address")),
        SampleLine("B", "the shed key is gate-0000", None, ("secret: password in words",)),
        SampleLine("B", None, None, ("secret: private key",)),
        SampleLine("assistant", "Water them in the evening.", "Water them in the evening."),
    ),
)
REPORT = DataReport(
    run="2024-05-01-a",
    dataset_sha256="ab" * 32,
    made_at="1 May 2024",
    sources=SOURCES,
    stages=STAGES,
    target_tokens=Histogram.of([1, 2, 2, 3, 9, 40, 700]),
    authors=Concentration.of([5_000, 900, 900, 20]),
    chats=Concentration.of([6_000, 820]),
    times=Times.of([NEW_YEAR_2024_MS + hour * HOUR_MS for hour in range(0, 5_000, 7)] + [None]),
    redactions={"EMAIL": 31, "PHONE": 12},
    secrets={"token": 9, "private key": 3},
    threads=Threads(Histogram.of([2, 2, 3, 8]), Histogram.of([2, 2, 2, 5]), {"root": 4, "inferred": 2, "reply": 9}),
    splits=(
        SplitLine("train", 6_000, 7_700, 154_321),
        SplitLine("validation", 500, 600, 12_000),
        SplitLine("test", 500, 600, 11_000),
    ),
    preferences=Preferences(40, 11, {"correction": 5, "retry": 2}, 14, 3),
    checks=(
        Check("target turns", "8,900", "at least 1,000", True, "fewer are learnt by heart"),
        Check("largest author", "73.3 %", "at most 20 %", False, "the bot would talk like one person"),
    ),
    samples=(SAMPLE,),
)
EMPTY = DataReport(run="empty", dataset_sha256="")
