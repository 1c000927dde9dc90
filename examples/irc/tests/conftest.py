"""A real IRC server for each test, and the folders that the tests import from: nothing needs to be installed."""

import shutil
import sys
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).parents[1]
sys.path += [str(EXAMPLE), str(EXAMPLE.parents[1] / "tests" / "bots")]


@pytest.fixture
def start_ngircd(tmp_path):
    """Starts servers with settings of their own, by section; ends them at the end."""
    from contextlib import ExitStack

    from ngircd import Ngircd

    program = shutil.which("ngircd", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin")
    if program is None:
        pytest.skip("ngircd is not installed; on Debian: apt install ngircd")
    with ExitStack() as stack:
        yield lambda **settings: stack.enter_context(Ngircd(program, tmp_path, **settings))


@pytest.fixture
def ngircd(start_ngircd):
    return start_ngircd()


@pytest.fixture
def stage(ngircd):
    from irc_stage import IrcStage

    with IrcStage(ngircd) as stage:
        yield stage
