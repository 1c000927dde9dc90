"""What may import what, and that importing does nothing else."""

import ast
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("engine", "bots", "exporters", "finetune")
HEAVY = {"torch", "transformers", "optimum", "peft", "trl", "datasets", "accelerate", "gguf", "onnx", "huggingface_hub"}
PREFIXES = ("ENGINE_", "BOTS_", "EXPORTERS_", "FINETUNE_", "DISCORD_", "TELEGRAM_", "DATABASE_", "POLICY_", "PLUGIN_")

# What a package may import of ours. They meet at files on disk, whose schemas stand on the lighter side; what else
# programs that keep running have in common, cron's fields and signals, are two modules that know nothing of bots.
ALLOWED = {
    "engine": {"engine"},
    "bots": {"bots", "engine"},
    "exporters": {"exporters", "engine"},
    "finetune": {"finetune", "exporters", "engine", "bots.chatlog", "bots.cron", "bots.signals"},
}


def modules(package: str) -> list[str]:
    """All modules of a package, by dotted name."""
    paths = sorted((ROOT / package).rglob("*.py"))
    return [".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__") for path in paths]


def imports(module: str) -> Iterator[str]:
    """Everything that a module's source imports, anywhere in it, by absolute dotted name."""
    path = ROOT / Path(*module.split("."))
    path = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{module} has a relative import; ours are absolute"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def is_within(name: str, package: str) -> bool:
    return name == package or name.startswith(f"{package}.")


def run_python(code: str, *arguments: str, **environment: str) -> Any:
    """What a fresh interpreter prints as JSON on its last line."""
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=ROOT,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("package", PACKAGES)
def test_dependencies_point_from_heavy_to_light(package: str) -> None:
    wrong = [
        f"{module} imports {name}"
        for module in modules(package)
        for name in imports(module)
        if any(is_within(name, ours) for ours in (*PACKAGES, "benchmarks", "tests"))
        and not any(is_within(name, allowed) for allowed in ALLOWED[package])
    ]
    assert wrong == []


def test_only_exporters_and_finetune_import_torch_and_its_kin() -> None:
    wrong = [
        f"{module} imports {name}"
        for package in ("engine", "bots")
        for module in modules(package)
        for name in imports(module)
        if name.split(".")[0] in HEAVY
    ]
    assert wrong == []


@pytest.mark.parametrize(
    ("library", "home"),
    [
        ("prompt_toolkit", "bots.console"),
        ("discord", "bots.discord"),
        ("telegram", "bots.telegram"),
        ("alembic", "bots.chatlog"),
        ("cryptography", "bots.chatlog"),
        ("detect_secrets", "finetune.cleaning"),
        ("phonenumbers", "finetune.cleaning"),
        ("datasketch", "finetune.dataset"),
        ("matplotlib", "finetune.report"),
        ("optuna", "finetune.training"),
        ("trl", "finetune.training"),
        ("peft", "finetune.training"),
    ],
)
def test_a_library_for_one_part_is_imported_there_alone(library: str, home: str) -> None:
    importers = {
        module
        for package in PACKAGES
        for module in modules(package)
        for name in imports(module)
        if is_within(name, library)
    }
    assert importers
    assert all(is_within(module, home) for module in importers), importers


@pytest.mark.parametrize(
    ("library", "homes"),
    [
        ("sqlalchemy", ("bots.chatlog", "finetune.schedule")),
        ("apscheduler", ("bots.cron", "bots.plugins.schedule", "finetune.schedule")),
    ],
)
def test_a_library_for_few_parts_is_imported_there_alone(library: str, homes: tuple[str, ...]) -> None:
    importers = {
        module
        for package in PACKAGES
        for module in modules(package)
        for name in imports(module)
        if is_within(name, library)
    }
    assert {next((home for home in homes if is_within(module, home)), module) for module in importers} == set(homes)


def test_the_scheduler_loads_nothing_that_training_needs() -> None:
    loaded = set(run_python(LOADED, "finetune.schedule.scheduling", "finetune.schedule.facts"))
    assert loaded & HEAVY == set()


def test_no_package_is_left_out_of_these_rules() -> None:
    """A new folder of ours with Python in it has to be given its place."""
    folders = {p.parent.name for p in ROOT.glob("*/__init__.py")} - {"tests", "benchmarks"}
    assert folders == set(PACKAGES)


LOADED = """
import importlib, json, sys
for name in sys.argv[1:]:
    importlib.import_module(name)
print(json.dumps(sorted({name.partition(".")[0] for name in sys.modules})))
"""


@pytest.mark.parametrize("package", ["engine", "bots"])
def test_importing_a_package_loads_nothing_that_serving_does_not_need(package: str) -> None:
    loaded = set(run_python(LOADED, package))
    assert package in loaded
    assert loaded & (HEAVY | {"exporters", "finetune"}) == set()


def test_importing_all_of_engine_and_bots_loads_nothing_that_serving_does_not_need() -> None:
    loaded = set(run_python(LOADED, *modules("engine"), *modules("bots")))
    assert loaded & (HEAVY | {"exporters", "finetune"}) == set()


def test_importing_the_engine_does_not_load_the_bots() -> None:
    assert "bots" not in run_python(LOADED, *modules("engine"))


WATCHED = """
import contextlib, importlib, io, json, logging, os, sys, threading

read = []
environment = type(os.environ)
look_up = environment.__getitem__
environment.__getitem__ = lambda self, key: (read.append(str(key)), look_up(self, key))[1]
prefixes, names = tuple(json.loads(sys.argv[1])), sys.argv[2:]
handlers, environ, folder = list(logging.getLogger().handlers), dict(os.environ), os.getcwd()
done = {}
for name in names:
    read.clear()
    out = io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
        importlib.import_module(name)
    done[name] = {
        "printed": out.getvalue(),
        "environment": [key for key in read if key.startswith(prefixes)],
        "logging": logging.getLogger().handlers != handlers,
        "changed": dict(os.environ) != environ or os.getcwd() != folder,
        "threads": threading.active_count() - 1,
    }
print(json.dumps(done))
"""


@pytest.mark.parametrize("package", ["engine", "bots"])
def test_importing_a_module_prints_nothing_and_reads_no_setting(package: str) -> None:
    # Values that no setting takes: a module that made a settings object on import would not even load.
    ours = {"ENGINE_SLOTS": "nonsense", "BOTS_MAX_TOKENS": "nonsense", "EXPORTERS_HUB_URL": "nonsense"}
    done = run_python(WATCHED, json.dumps(PREFIXES), *modules(package), **ours)
    quiet = {"printed": "", "environment": [], "logging": False, "changed": False, "threads": 0}
    assert done == dict.fromkeys(modules(package), quiet)


def test_the_watch_sees_what_a_module_does_on_import(tmp_path: Path) -> None:
    """The test above would pass for any module if its watch were blind."""
    (tmp_path / "noisy.py").write_text(
        "import os, logging\nprint('hello')\nos.environ.get('ENGINE_SLOTS')\nlist(os.environ.items())\n"
        "logging.basicConfig()\nos.environ['X_NOISY'] = '1'\n"
    )
    done = run_python(WATCHED, json.dumps(PREFIXES), "noisy", ENGINE_SLOTS="1", PYTHONPATH=str(tmp_path))["noisy"]
    assert done["printed"] == "hello\n"
    assert done["environment"].count("ENGINE_SLOTS") == 2
    assert done["logging"]
    assert done["changed"]


@pytest.mark.parametrize("package", PACKAGES)
def test_every_public_name_exists(package: str) -> None:
    tree = ast.parse((ROOT / package / "__init__.py").read_text(encoding="utf-8"))
    assigned = [
        node.value
        for node in tree.body
        if isinstance(node, ast.Assign) and any(isinstance(t, ast.Name) and t.id == "__all__" for t in node.targets)
    ]
    names = ast.literal_eval(assigned[0]) if assigned else []
    found = {
        alias.asname or alias.name for node in tree.body if isinstance(node, ast.ImportFrom) for alias in node.names
    }
    assert set(names) == found
