"""What platforms offer and allow, as far as a test of a bot has to know it.

Facts about platforms, not about our adapters, which keep well below them. Loads no platform's library.
"""

from dataclasses import dataclass, replace

from bots.adapter import Caps, Pace


@dataclass(frozen=True)
class Profile:
    """A platform for `FakePlatform` to be.

    Attributes:
        platform: The name in its chats and people.
        private: What a private chat can do. `limit` and `period_s` of its pace are what the platform allows.
        group: The same of a chat of several people.
        account_pace: What it allows to all chats of an account together.
        draft_pace: What it allows of drafts, per chat; they use up nothing else of a chat's pace.
        is_strict: Whether it refuses calls over its limits; if not, it only says that there are some.
        counts_typing_in_groups: Whether typing uses up a group's pace.
        knows_nonces: Whether sending again with the same nonce makes no second message.
        shows_history: Whether a bot can look for messages that were posted earlier.
        tells_deletions: Whether a bot learns that a message was deleted.
        keeps_draft_at_notice: Whether a draft stays when a message is sent that does not replace it.
    """

    platform: str
    private: Caps
    group: Caps
    account_pace: Pace | None = None
    draft_pace: Pace | None = None
    is_strict: bool = True
    counts_typing_in_groups: bool = False
    knows_nonces: bool = True
    shows_history: bool = True
    tells_deletions: bool = True
    keeps_draft_at_notice: bool = True


def discord() -> Profile:
    """Discord: no drafts, but edits; five calls in five seconds to a channel or thread, 50 a second in all.

    Discord publishes no figure for a channel; that one is what people see.
    """
    caps = Caps(
        can_edit=True,
        first_text_s=0.3,
        edit_lifetime_s=3600.0,  # older ones have a limit of their own, which a reply cannot live with
        typing_s=10.0,
        max_length=2000,
        has_buttons=True,
        nonce_lifetime_s=180.0,  # "the past few minutes", says the documentation
        can_show_queue=True,
        pace=Pace(limit=5, period_s=5.0, interval_s=1.0, reserved=1),
    )
    return Profile("discord", private=caps, group=caps, account_pace=Pace(limit=50, period_s=1.0, reserved=12))


def telegram() -> Profile:
    """Telegram: drafts and a message a second in private; 20 calls a minute in a group, typing and edits included.

    Telegram publishes rough figures only; these are strict readings of them. A text's length is that of its
    Markdown in UTF-16 units; Telegram counts what is left once the marks are gone.
    """
    private = Caps(
        draft_interval_s=0.5,
        draft_lifetime_s=30.0,
        can_edit=True,
        typing_s=5.0,
        max_length=4096,
        length=_utf16_length,
        has_buttons=True,
        can_show_queue=True,
        pace=Pace(limit=1, period_s=1.0, interval_s=1.0),
    )
    group = replace(
        private,
        draft_interval_s=None,
        draft_lifetime_s=None,
        pace=Pace(limit=20, period_s=60.0, interval_s=3.0, reserved=8),
        threads_share_pace=True,
    )
    return Profile(
        "telegram",
        private=private,
        group=group,
        account_pace=Pace(limit=30, period_s=1.0, reserved=8),
        draft_pace=Pace(limit=2, period_s=1.0),
        counts_typing_in_groups=True,
        knows_nonces=False,
        shows_history=False,
        tells_deletions=False,
        keeps_draft_at_notice=False,
    )


def unlimited(caps: Caps | None = None, *, knows_nonces: bool = True) -> Profile:
    """A platform that takes all that is sent, as often as it is sent.

    Args:
        caps: What each chat can do; by default it shows drafts, as often as there are any.
        knows_nonces: Whether sending again with the same nonce makes no second message.
    """
    caps = caps or Caps(draft_interval_s=0.0)
    return Profile("memory", private=caps, group=caps, is_strict=False, knows_nonces=knows_nonces)


def _utf16_length(text: str) -> int:
    return len(text.encode("utf-16-le", "surrogatepass")) // 2
