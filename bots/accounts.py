"""One account on one platform, before it is opened: what the service serves and `--check` looks at.

Knows nothing of any one platform.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from bots.adapter import Adapter
from bots.checks import Finding


@dataclass(frozen=True)
class Account:
    """A token in the settings.

    Attributes:
        name: For logs, for instance `discord` or `discord 2`; never a part of the token.
        open: Makes a new adapter; called again each time that one has failed.
        check: Looks at everything that the platform can tell about the account.
    """

    name: str
    open: Callable[[], Adapter]
    check: Callable[[], Awaitable[Sequence[Finding]]]
