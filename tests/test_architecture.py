"""Who may import whom, which library lives where, and what nobody may do.

The rules are the tables below; every module of the package is read, none is imported.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

LAYERS = {
    "entry points": ["cli __main__"],
    "measurement": ["evaluation"],
    "workshop": ["training"],
    "package": ["__init__"],
    "diagnosis": ["doctor"],
    "service": ["daemon", "service"],
    "engine": ["engine"],
    "assembly": ["pipeline", "bundle kept"],
    "stages": [
        "audio recording devices resampling",
        "vad noise_gate",
        "features",
        "acoustic",
        "levels",
        "intent confidence explanation false_alarms",
        "actions",
    ],
    "machinery": ["nn", "grammar"],
    "vocabulary": ["types errors bounds bundle_files config program heap resources yaml_loader"],
}
"""From top to bottom; a module may import the layers below its own, never one above.

Each string is a part: modules and packages that may import each other. Parts of one layer do not
know each other: that is what makes a stage a stage.
"""

ONLY_IN = {"sounddevice": "audio", "webrtcvad": "vad", "subprocess": "actions"}
"""Libraries that touch the machine, and the one module or package that may import each."""

ON_DEMAND = {
    *("sounddevice", "webrtcvad", "dbus_fast", "aiomqtt"),
    *("assistant.training", "assistant.evaluation"),
}
"""Imported inside functions only: the assistant starts without PortAudio, without the extras of the
desktop, and without training or evaluation."""

FORBIDDEN = {
    **dict.fromkeys(
        ("pickle", "cPickle", "dill", "joblib", "shelve", "marshal", "torch.load", "torch.save"),
        "a pickle can run anything; keep tensors with bundle.write_weights, the rest as text",
    ),
    **dict.fromkeys(
        ("os.system", "os.popen", "asyncio.create_subprocess_shell"),
        "a shell reads what was said as code; programs are started by an action, as a list",
    ),
    **dict.fromkeys(("eval", "exec"), "data is parsed, never evaluated"),
    **dict.fromkeys(
        ("__import__", "importlib.import_module"), "these tests cannot see what it imports"
    ),
}
"""What no module may import or call, and what to do instead."""

FORBIDDEN_ARGUMENTS = {
    "shell": "a shell reads what was said as code; give the program a list of arguments",
    "allow_pickle": "a pickle can run anything; keep arrays of numbers",
}
"""Keyword arguments that may not be given as True."""

LONGEST_MODULE = 330
"""Lines; a longer module is more than one noun."""


# ── reading a module ───────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Import:
    """`name` is dotted and absolute: a module, or something within one."""

    name: str
    line: int
    on_demand: bool

    def is_of(self, module: str) -> bool:
        return self.name == module or self.name.startswith(module + ".")


@dataclass(frozen=True)
class Module:
    """A module of the package as its source says it; `name` is `assistant.grammar.graph`."""

    name: str
    source: str
    is_package: bool = False

    @classmethod
    def read(cls, path: Path) -> Module:
        parts = list(path.relative_to(ROOT).with_suffix("").parts)
        is_package = parts[-1] == "__init__"
        name = ".".join(parts[:-1] if is_package else parts)
        return cls(name, path.read_text(encoding="utf-8"), is_package)

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.source)

    @cached_property
    def imports(self) -> tuple[Import, ...]:
        return tuple(self._imports(self.tree, on_demand=False))

    @cached_property
    def part(self) -> str:
        """The name that `LAYERS` knows it by."""
        return self.name.split(".")[1] if "." in self.name else "__init__"

    def names_used(self) -> Iterator[tuple[str, int]]:
        """Dotted names of what the code refers to, aliases resolved, with their lines."""
        aliases = dict(self._aliases())
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Name | ast.Attribute):
                first, _, rest = ast.unparse(node).partition(".")
                yield ".".join(filter(None, (aliases.get(first, first), rest))), node.lineno

    def _imports(self, node: ast.AST, on_demand: bool) -> Iterator[Import]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.Import):
                for alias in child.names:
                    yield Import(alias.name, child.lineno, on_demand)
            elif isinstance(child, ast.ImportFrom):
                for alias in child.names:
                    name = f"{self._origin(child)}.{alias.name}"
                    yield Import(name, child.lineno, on_demand)
            else:
                function = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef)
                for_types = isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING"
                yield from self._imports(child, on_demand or function or for_types)

    def _aliases(self) -> Iterator[tuple[str, str]]:
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                yield from ((a.asname, a.name) for a in node.names if a.asname)
            elif isinstance(node, ast.ImportFrom):
                origin = self._origin(node)
                yield from ((a.asname or a.name, f"{origin}.{a.name}") for a in node.names)

    def _origin(self, node: ast.ImportFrom) -> str:
        """The absolute name of what a `from … import` imports from."""
        if not node.level:
            return node.module or ""
        parts = self.name.split(".")
        kept = parts[: len(parts) - node.level + self.is_package]
        return ".".join([*kept, *filter(None, [node.module])])


MODULES = {
    module.name: module for module in map(Module.read, sorted((ROOT / "assistant").rglob("*.py")))
}

SCRIPTS = [Module.read(path) for path in sorted((ROOT / "scripts").glob("*.py"))]

PLACES: dict[str, tuple[int, str]] = {
    name: (depth, part)
    for depth, parts in enumerate(LAYERS.values())
    for part in parts
    for name in part.split()
}
"""By name: the layer, counted from the top, and the part it belongs to."""


def target_of(imported: Import) -> str | None:
    """The module of the package that an import reads; None where it is another library."""
    name = imported.name
    while name and name not in MODULES:
        name = name.rpartition(".")[0]
    return name or None


# ── rules: each yields what is wrong, where, and how to mend it ────────────────────────────

Rule = Callable[[Module], Iterator[str]]


def layers(module: Module) -> Iterator[str]:
    if module.part not in PLACES:
        yield f"{module.name} has no place; give {module.part} one in LAYERS"
        return
    depth, part = PLACES[module.part]
    names = list(LAYERS)
    for imported in module.imports:
        target = target_of(imported)
        place = PLACES.get(Module(target, "").part) if target else None
        if place is None or place[1] == part or place[0] > depth:
            continue
        where = f"{module.name}:{imported.line} imports {target}"
        if place[0] < depth:
            yield (
                f"{where}, which lies above it ({names[place[0]]} above {names[depth]}): take it "
                "as an argument, or move what both need further down"
            )
        else:
            yield (
                f"{where}, its neighbour among {names[depth]}: let the layer above join the two, "
                "or move what both need further down"
            )


def libraries(module: Module) -> Iterator[str]:
    for imported in module.imports:
        for library, owner in ONLY_IN.items():
            if imported.is_of(library) and module.part != owner:
                where = f"{module.name}:{imported.line} imports {library}"
                yield f"{where}: call assistant.{owner}, which alone may"


def on_demand(module: Module) -> Iterator[str]:
    waits_itself = f"assistant.{module.part}" in ON_DEMAND
    for imported in module.imports:
        for name in ON_DEMAND:
            waits = imported.on_demand or (waits_itself and name.startswith("assistant."))
            if imported.is_of(name) and not waits:
                where = f"{module.name}:{imported.line} imports {name} as it is loaded"
                yield f"{where}: import it inside the function that needs it"


def nothing_forbidden(module: Module) -> Iterator[str]:
    mentions = [*module.names_used(), *((i.name, i.line) for i in module.imports)]
    for name, line in mentions:
        for forbidden, instead in FORBIDDEN.items():
            if name == forbidden or name.startswith(forbidden + "."):
                yield f"{module.name}:{line} uses {forbidden}: {instead}"
    for node in ast.walk(module.tree):
        if isinstance(node, ast.keyword) and node.arg in FORBIDDEN_ARGUMENTS:
            off = isinstance(node.value, ast.Constant) and not node.value.value
            if not off:
                instead = FORBIDDEN_ARGUMENTS[node.arg]
                yield f"{module.name}:{node.value.lineno} gives {node.arg}: {instead}"


def length(module: Module) -> Iterator[str]:
    lines = len(module.source.splitlines())
    if lines > LONGEST_MODULE:
        yield (
            f"{module.name} has {lines} lines, more than {LONGEST_MODULE}: give the second noun "
            "in it a module of its own"
        )


def circles(modules: Iterable[Module]) -> Iterator[str]:
    """The first circle of imports there is, of modules of one part if the layers are kept."""
    graph = {
        module.name: {target_of(i) for i in module.imports} - {None, module.name}
        for module in modules
    }
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        circle = " → ".join(map(str, reversed(error.args[1])))
        yield f"{circle}: move what they share into a module of its own"


# ── the package keeps them ─────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("rule", [layers, libraries, on_demand, length])
def test_every_module_keeps(rule: Rule) -> None:
    mend(violation for module in MODULES.values() for violation in rule(module))


def test_every_module_and_script_uses_nothing_forbidden() -> None:
    mend(v for module in [*MODULES.values(), *SCRIPTS] for v in nothing_forbidden(module))


def test_no_imports_in_a_circle() -> None:
    mend(circles(MODULES.values()))


def test_the_layers_name_only_what_there_is() -> None:
    gone = PLACES.keys() - {module.part for module in MODULES.values()}
    mend(f"there is no assistant.{name}: take it out of LAYERS" for name in sorted(gone))


def mend(violations: Iterable[str]) -> None:
    """Fail with all of them, each on a line."""
    if found := list(dict.fromkeys(violations)):
        pytest.fail("\n".join(found), pytrace=False)


# ── and the rules find what breaks them ────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("rule", "name", "source"),
    [
        (layers, "assistant.speech", ""),
        (layers, "assistant.vad", "from .features import LogMel"),
        (layers, "assistant.vad", "def f():\n    from . import pipeline"),
        (layers, "assistant.features", "from .bundle import read_encoder"),
        (layers, "assistant.types", "import assistant.nn.encoder"),
        (layers, "assistant.nn.encoder", "from ..grammar.network import Arc"),
        (layers, "assistant.engine", "def f():\n    from .training import metrics"),
        (layers, "assistant.engine", "from . import __version__"),
        (libraries, "assistant.intent", "def f():\n    import subprocess as s"),
        (libraries, "assistant.devices", "def f():\n    from sounddevice import Stream"),
        (on_demand, "assistant.vad", "import webrtcvad"),
        (on_demand, "assistant.audio", "class A:\n    import sounddevice"),
        (on_demand, "assistant.cli", "from .training.metrics import phoneme_error"),
        (on_demand, "assistant.cli", "from .evaluation import report"),
        (layers, "assistant.training.lint", "from ..evaluation import recogniser"),
        (nothing_forbidden, "assistant.bundle", "import torch as t\nt.load(path)"),
        (nothing_forbidden, "assistant.bundle", "from torch import save"),
        (nothing_forbidden, "assistant.bundle", "from pickle import loads"),
        (nothing_forbidden, "assistant.bundle", "np.load(path, allow_pickle=True)"),
        (nothing_forbidden, "assistant.actions", "import os\nos.system(said)"),
        (nothing_forbidden, "assistant.actions", "run(said, shell=True)"),
        (nothing_forbidden, "assistant.actions", "run(said, shell=flag)"),
        (nothing_forbidden, "assistant.config", "eval(text)"),
        (nothing_forbidden, "assistant.audio", "__import__('sounddevice')"),
        (length, "assistant.audio", "pass\n" * (LONGEST_MODULE + 1)),
    ],
)
def test_a_broken_rule_is_found(rule: Rule, name: str, source: str) -> None:
    assert list(rule(Module(name, source)))


@pytest.mark.parametrize(
    ("rule", "name", "source"),
    [
        (layers, "assistant.audio", "from .recording import read_file"),
        (layers, "assistant.features", "from .nn.encoder import StreamingEncoder"),
        (layers, "assistant.cli", "from . import __version__"),
        (libraries, "assistant.actions.run", "import subprocess"),
        (on_demand, "assistant.audio", "def f():\n    import sounddevice"),
        (on_demand, "assistant.training.manifest", "from .metrics import ErrorRate"),
        (on_demand, "assistant.evaluation.outcome", "from ..training.metrics import ErrorRate"),
        (nothing_forbidden, "assistant.nn.encoder", "network.eval()"),
        (nothing_forbidden, "assistant.actions", "run(arguments, shell=False)"),
        (nothing_forbidden, "assistant.bundle", "from safetensors.torch import load"),
        (length, "assistant.audio", "pass\n" * LONGEST_MODULE),
    ],
)
def test_a_kept_rule_is_not_reported(rule: Rule, name: str, source: str) -> None:
    assert not list(rule(Module(name, source)))


def test_a_circle_is_found() -> None:
    circle = [
        Module("assistant.devices", "def f():\n    from .audio import Microphone"),
        Module("assistant.audio", "from . import devices, errors"),
    ]
    (found,) = circles(circle)
    assert "assistant.audio → assistant.devices" in found
    assert not list(circles(circle[1:]))
