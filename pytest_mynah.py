"""The pytest plugin: the fixture `bot_with`, for tests of plugins.

Every run of pytest where Mynah is installed imports this module, so it loads nothing of Mynah; the fixture does. It
stands beside the packages because importing a module of `bots` imports all of them.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from bots.testing.stage import BotWith, Stage

try:
    import pytest_asyncio
except ImportError:  # pytest without Mynah's extra `testing` goes on as before

    @pytest.fixture(name="bot_with")
    def explain() -> None:
        """Say what is missing."""
        pytest.fail('the fixture bot_with needs pytest-asyncio: pip install "mynah[testing]"', pytrace=False)

else:

    @pytest_asyncio.fixture(name="bot_with")
    async def start_bots(tmp_path: Path) -> "AsyncIterator[BotWith]":
        """Start bots that have the plugins you name: `stage = await bot_with(MyPlugin)`.

        What it takes is described at `bots.testing.open_stage`, and what it gives at `bots.testing.Stage`. The bots end
        with the test, which fails if a handler of a plugin has failed meanwhile.
        """
        from bots.testing.stage import open_stage  # noqa: PLC0415  # see above

        async with AsyncExitStack() as stack:
            num_started, starting = 0, asyncio.Lock()  # migrations of two databases at once get mixed up

            async def start(*plugins: Any, **options: Any) -> "Stage":
                nonlocal num_started
                async with starting:
                    num_started += 1
                    opening = open_stage(tmp_path / f"bot {num_started}", *plugins, **options)
                    return await stack.enter_async_context(opening)

            yield start
