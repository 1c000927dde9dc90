"""The data report as one HTML file: no script, no link that leads out, nothing to load; everything that is foreign is
escaped.

Knows how figures are laid out on a page, and nothing of how they come about.
"""

from dataclasses import dataclass

from finetune.report.changes import Part, compare, whole
from finetune.report.figures import DataReport, Sample, SampleLine, discrepancies
from finetune.report.plots import (
    Plot,
    concentration_plot,
    counts_plot,
    funnel_plot,
    histogram_plot,
    largest_plot,
    links_plot,
    preferences_plots,
    splits_plot,
    times_plots,
)
from finetune.report.templates import environment
from finetune.report.wording import plural


@dataclass(frozen=True, slots=True)
class _Section:
    """Plots under a heading; `empty` stands in their place if there are none."""

    id: str
    title: str
    intro: str
    plots: tuple[Plot, ...]
    empty: str


@dataclass(frozen=True, slots=True)
class _Row:
    """One message of a sample: its texts in parts; None where there is none to show."""

    line: SampleLine
    before: tuple[Part, ...] | None
    after: tuple[Part, ...] | None


def render(report: DataReport) -> str:
    """The page. The same report gives the same page, byte for byte, with one version of matplotlib."""
    html = (
        environment("finetune.report")
        .get_template("page.html.jinja")
        .render(
            report=report,
            funnel=funnel_plot(report.stages),
            discrepancies=discrepancies(report.stages),
            failed=[check for check in report.checks if not check.is_ok],
            sections=_sections(report),
            samples=[(sample.title, _rows(sample)) for sample in report.samples],
        )
    )
    # A file in UTF-8 cannot hold a lone surrogate, which JSON can.
    return html.encode("utf-8", "replace").decode("utf-8")


def _sections(report: DataReport) -> tuple[_Section, ...]:
    feedback = report.preferences
    return (
        _section(
            "lengths",
            "Lengths",
            "How much there is to learn in one go.",
            histogram_plot("Answers to be learnt", report.target_tokens, "tokens", "answers"),
            empty="Nothing to be learnt.",
        ),
        _section(
            "people",
            "Whose words",
            "Who has how much of what is to be learnt, in bytes. Authors and chats have ranks here, and no names.",
            largest_plot("Authors", report.authors, "author"),
            largest_plot("Chats", report.chats, "chat"),
            concentration_plot(report.authors, report.chats),
            empty="Nothing to be learnt.",
        ),
        _section("times", "When", "", *times_plots(report.times), empty="No times in these sources."),
        _section(
            "removals",
            "Taken out",
            "Personal data is replaced by what it is; a message with a secret is dropped.",
            counts_plot("Personal data replaced", report.redactions, "type", "places"),
            counts_plot("Secrets", report.secrets, "rule", "messages"),
            empty="No personal data and no secret was found.",
        ),
        _section(
            "threads",
            "Conversations",
            "",
            histogram_plot("Turns in a conversation", report.threads.turns, "turns", "conversations"),
            histogram_plot("Longest chain of answers", report.threads.depths, "turns", "conversations"),
            links_plot(report.threads.links),
            empty="No conversations.",
        ),
        _section(
            "splits",
            "Splits",
            "A conversation is in one split only.",
            splits_plot(report.splits),
            empty="Nothing is left to train on.",
        ),
        _section(
            "feedback",
            "Feedback",
            f"From {plural(feedback.voters, 'voter')}; {plural(feedback.capped, 'label')} left out"
            " so that no voter has too large a part.",
            *preferences_plots(feedback),
            empty="Nobody has rated an answer.",
        ),
    )


def _section(id: str, title: str, intro: str, *plots: Plot | None, empty: str) -> _Section:
    return _Section(id, title, intro, tuple(plot for plot in plots if plot), empty)


def _rows(sample: Sample) -> list[_Row]:
    return [_row(line) for line in sample.lines]


def _row(line: SampleLine) -> _Row:
    if line.before is not None and line.after is not None:
        return _Row(line, *compare(line.before, line.after))
    before, after = (None if text is None else whole(text) for text in (line.before, line.after))
    return _Row(line, before, after)
