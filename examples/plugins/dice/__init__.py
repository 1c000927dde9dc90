"""Dice: `/roll`, a button to roll again, and what each person has rolled so far.

Shows typed parameters with choices, a cooldown, a button with an argument, and values that are kept for a person.
"""

import asyncio
import secrets
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from bots.plugins import ChatRef, Context, Plugin, User

Sides = Literal["4", "6", "8", "10", "12", "20"]


class Dice(Plugin):
    """Rolls dice."""

    class Config(BaseModel):
        """Settings."""

        model_config = ConfigDict(frozen=True)

        most: int = Field(default=20, ge=1, le=100, description="How many dice can be rolled at once.")
        cooldown_s: float = Field(default=2.0, ge=0, description="Seconds between two rolls of a person in a chat.")

    name = "dice"
    summary = "rolls dice"
    version = "1.0"

    async def setup(self, ctx: Context["Dice.Config"]) -> None:
        """Register the commands and the button."""
        self._ctx = ctx
        self._counting = asyncio.Lock()
        ctx.command("roll", self.roll, cooldown_s=ctx.config.cooldown_s, is_public=True)
        ctx.command("rolls", self.rolls)
        self._again = ctx.button("again", "Roll again", self.roll_again)

    async def roll(
        self,
        user: User,
        chat: ChatRef,
        sides: Annotated[Sides, "how many sides each has"] = "6",
        number: Annotated[int, "how many dice"] = 1,
    ) -> str | None:
        """Roll dice."""
        most = self._ctx.config.most
        if not 1 <= number <= most:
            return f"I have {most} dice. How many of them shall I roll?"
        return await self._roll(user, chat, int(sides), number)

    async def roll_again(self, user: User, chat: ChatRef, argument: str) -> str | None:
        """Roll the same dice for whoever presses the button."""
        number, _, sides = argument.partition("d")
        return await self._roll(user, chat, int(sides), int(number))

    async def _roll(self, user: User, chat: ChatRef, sides: int, number: int) -> str | None:
        """Say what was rolled, with a button below it; what is returned was not said yet."""
        eyes = [secrets.randbelow(sides) + 1 for _ in range(number)]
        await self._count(user, sides, eyes)
        total = f" = {sum(eyes)}" if number > 1 else ""
        text = f"{user.name} rolls {number}d{sides}: {' + '.join(map(str, eyes))}{total}"
        posted = await self._ctx.say(chat, text, [self._again(f"{number}d{sides}")])
        return text if posted is None else None

    async def _count(self, user: User, sides: int, eyes: list[int]) -> None:
        # Buttons are pressed at the same time by many, and reading and writing are two steps.
        async with self._counting:
            drawer = self._ctx.store.user(user)
            dice, total = await drawer.get(f"d{sides}", [0, 0])
            await drawer.set(f"d{sides}", [dice + len(eyes), total + sum(eyes)])

    async def rolls(self, user: User) -> str:
        """Show what you have rolled so far."""
        kept = await self._ctx.store.user(user).items("d")
        lines = [
            f"{name}: {dice} rolled, {total / dice:.2f} on average (fair: {(int(name[1:]) + 1) / 2:.2f})"
            for name, (dice, total) in sorted(kept.items(), key=lambda item: int(item[0][1:]))
        ]
        return "\n".join(lines) or "You have rolled nothing yet. /roll does."
