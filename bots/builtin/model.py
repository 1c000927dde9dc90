"""Which model answers: `/model` for everyone, `/rollback` for operators."""

import asyncio
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from bots.plugins import Context, Permission, Plugin, TextEngine, User
from engine.errors import EngineError
from engine.metrics import MetricsSnapshot
from engine.registry import Registry


@runtime_checkable
class MeasuredEngine(Protocol):
    """An engine that tells how it is doing."""

    def metrics(self) -> MetricsSnapshot:
        """Figures of the version that answers."""
        ...


class ModelPlugin(Plugin):
    """The model that answers."""

    name = "model"
    summary = "which model answers"
    version = "1"

    def __init__(self, registry: Path | None) -> None:
        """`registry` is None where a bundle was named instead."""
        self._registry = registry

    async def setup(self, ctx: Context[Any]) -> None:
        """Register the commands."""
        self._ctx = ctx
        ctx.command("model", self.model)
        ctx.command("rollback", self.rollback, permission=Permission.OPERATOR)
        ctx.on_model_swap(self.swapped)

    async def model(self, engine: TextEngine) -> str:
        """Show which model answers, and how fast."""
        lines = [f"Model version: {engine.version}"]
        if isinstance(engine, MeasuredEngine):
            lines += _figures(engine.metrics())
        return "\n".join(lines)

    async def rollback(self, user: User) -> str:
        """Go back to the model before this one."""
        if self._registry is None:
            return "I serve a bundle that was named at the start, so there is nothing to go back to."
        registry = Registry(self._registry)
        try:
            version = await asyncio.to_thread(registry.rollback, f"/rollback by {user.platform}:{user.id}")
        except EngineError as exc:
            return f"That is not possible: {exc}"
        return f"Going back to {version}. Answers under way are finished by {self._ctx.engine.version}."

    async def swapped(self, old: str, new: str) -> None:
        """Tell operators that another version answers."""
        await self._ctx.tell_operators(f"From now on {new} answers; before it was {old}. /rollback goes back.")


def _figures(metrics: MetricsSnapshot) -> list[str]:
    """What a person wants to know of an engine, a line each; of one that has answered nothing, little."""
    now = f"Now: being written {metrics.num_running}, waiting {metrics.queue_length}"
    num_answers = sum(metrics.finished.values())
    if not num_answers:
        return [now]
    return [
        now,
        f"So far: answers {num_answers}, tokens {metrics.answer_tokens}, failures {metrics.failed}",
        f"Speed: {metrics.tokens_per_second:.0f} tokens a second, the first after "
        f"{metrics.time_to_first_token_p50_s:.2f} s (95 % within {metrics.time_to_first_token_p95_s:.2f} s)",
        f"Cache: {metrics.cached_share:.0%} of what had to be read was known already",
    ]
