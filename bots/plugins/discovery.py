"""Where plugins come from: packages that are installed, and a folder.

Finding one imports nothing; loading one does. A plugin of the folder is imported under a module name that is new each
time, so that loading it anew gets what the file says now, and nothing that still refers to the old one is mixed up
with it.
"""

import importlib
import importlib.machinery
import importlib.util
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from importlib.metadata import EntryPoint, entry_points
from itertools import count
from pathlib import Path
from types import ModuleType

from bots.plugins.plugin import Plugin, check_plugin

GROUP = "mynah.plugins"
MODULE_PREFIX = "mynah_plugin_"

_numbers = count(1)
_imported: dict[str, set[str]] = {}
"""Modules that were imported for a plugin of a package, as opposed to by somebody else who goes on using them."""


Release = Callable[[], None]


@dataclass(frozen=True)
class Source:
    """Where one plugin comes from.

    Attributes:
        name: What settings call it.
        where: For people.
        load: Imports it; returns its class, and what lets go of the modules that were imported. Raises whatever its
            code raises, and TypeError if there is no plugin.
    """

    name: str
    where: str
    load: Callable[[], tuple[type[Plugin], Release]]


def find_plugins(folder: Path) -> dict[str, Source]:
    """All that there are, by name. What lies in the folder goes before what is installed."""
    installed = {point.name: _installed(point) for point in entry_points(group=GROUP)}
    return installed | {source.name: source for source in _in_folder(folder)}


def _in_folder(folder: Path) -> Iterator[Source]:
    """`NAME.py` and `NAME/__init__.py`."""
    for path in sorted(folder.glob("*.py")):
        if path.stem.isidentifier() and not path.stem.startswith("_"):
            yield from_file(path.stem, path)
    for path in sorted(folder.glob("*/__init__.py")):
        if path.parent.name.isidentifier():
            yield from_file(path.parent.name, path)


class _FreshLoader(importlib.machinery.SourceFileLoader):
    """Compiles what the file says now: cached bytecode goes by whole seconds and sizes."""

    def path_stats(self, path: str | bytes) -> dict[str, float]:
        raise OSError(f"{path!r} has no bytecode")


def from_file(name: str, path: Path) -> Source:
    """A plugin in a file, or in the package whose `__init__.py` it is."""

    def load() -> tuple[type[Plugin], Release]:
        module_name = f"{MODULE_PREFIX}{name}_{next(_numbers)}"
        try:
            kind = _plugin_of(_import(module_name, path), path)
        except BaseException:
            _drop_modules(module_name)
            raise
        return kind, partial(_drop_modules, module_name)

    return Source(name, str(path), load)


def _import(module_name: str, path: Path) -> ModuleType:
    folders = [str(path.parent)] if path.name == "__init__.py" else None
    spec = importlib.util.spec_from_file_location(
        module_name, path, loader=_FreshLoader(module_name, str(path)), submodule_search_locations=folders
    )
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[module_name] = module
    importlib.invalidate_caches()
    spec.loader.exec_module(module)
    return module


def _plugin_of(module: ModuleType, path: Path) -> type[Plugin]:
    """The one plugin class that a module defines."""
    found = [
        each
        for each in vars(module).values()
        if isinstance(each, type) and issubclass(each, Plugin) and each.__module__.startswith(module.__name__)
    ]
    if len(found) != 1:
        names = ", ".join(each.__name__ for each in found) or "none"
        raise TypeError(f"{path} has to define one class derived from bots.plugins.Plugin; it defines {names}")
    return check_plugin(found[0])


def _installed(point: EntryPoint) -> Source:
    """A plugin in an installed package; what it imports of that package is imported anew each time."""
    top_level = point.module.partition(".")[0]

    def load() -> tuple[type[Plugin], Release]:
        _drop(_imported.pop(point.value, ()))
        before = set(sys.modules)
        kind = check_plugin(point.load())
        ours = {name for name in sys.modules if name not in before and _is_within(name, top_level)}
        _imported[point.value] = ours
        return kind, partial(_drop, ours)

    return Source(point.name, f"{point.dist.name if point.dist else 'a package'} ({point.value})", load)


def _is_within(name: str, package: str) -> bool:
    return name == package or name.startswith(f"{package}.")


def _drop(names: Iterable[str]) -> None:
    for name in names:
        sys.modules.pop(name, None)


def _drop_modules(package: str) -> None:
    _drop([name for name in sys.modules if _is_within(name, package)])
