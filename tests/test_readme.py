"""What README.md and .env.example say of settings and modules is what the code has."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
MAP = (ROOT / "README.md").read_text(encoding="utf-8").split("## Settings")[0]


def test_the_settings_in_readme_and_env_example_are_those_of_the_code() -> None:
    check = subprocess.run(
        [sys.executable, "docs/generate.py", "--check"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert check.returncode == 0, check.stderr


@pytest.mark.parametrize("package", ["engine", "exporters", "bots", "finetune"])
def test_the_module_map_names_every_module(package: str) -> None:
    modules = {path.name for path in (ROOT / package).glob("*.py")} - {"__init__.py", "__main__.py"}
    section = MAP.split(f"| **{package}/** |")[1].split("| **")[0:2]
    missing = {name for name in modules if f"`{name}`" not in "".join(section)}
    assert not missing
