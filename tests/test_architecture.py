"""Imports point one way, heavy libraries stand behind one module each, and nothing happens at import."""

import ast
import re
import subprocess
import sys
import tomllib
from collections import defaultdict
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "echo_asr"

BASE = {"errors", "config", "console", "libraries", "output", "renamed", "storage"}
INPUT = {*BASE, "audio", "pretrained", "features"}
MODEL = {*INPUT, "text", "vrope", "model", "distributed"}
USER = {*MODEL, "annotations", "data", "decode", "evaluate", "train"}

# For every stage (module or folder of the package) the stages that it may import; itself goes without saying.
MAY_IMPORT = {
    "errors": set(),
    "config": {"errors", "renamed"},
    "renamed": {"errors"},
    "console": {"errors"},
    "libraries": {"errors"},
    "output": set(),
    "storage": {"errors"},
    "vrope": set(),
    "audio": {"errors", "output"},
    "pretrained": {*BASE, "vrope"},
    "features": {*BASE, "audio", "pretrained"},
    "text": {"errors", "config", "storage"},
    "annotations": {"errors", "audio", "text"},
    "data": {*INPUT, "text", "annotations"},
    "model": {*INPUT, "text", "vrope"},
    "distributed": {"errors"},
    "decode": {*MODEL, "annotations"},
    "evaluate": {*MODEL, "data", "decode"},
    "train": {*MODEL, "data", "decode", "evaluate"},
    "serve": {*MODEL, "data", "decode", "__init__"},
    "research": USER,
    "commands": {*USER, "research", "serve", "__init__"},
    "cli": {"errors", "config", "libraries", "output", "distributed", "commands", "__init__"},
    "__main__": {"cli"},
    "__init__": {"decode", "errors", "libraries"},
}

BEHIND_ONE_MODULE = (
    "accelerate",
    "av",
    "datasets",
    "espeakng_loader",
    "fastapi",
    "filelock",
    "flashlight",
    "huggingface_hub",
    "jiwer",
    "jsonargparse",
    "lhotse",
    "matplotlib",
    "peft",
    "prometheus_client",
    "psutil",
    "rich",
    "safetensors",
    "segments",
    "sounddevice",
    "soundfile",
    "soxr",
    "swift_f0",
    "tensorboard",
    "tokenizers",
    "uvicorn",
    "yaml",
)
OPTIONAL = (
    "accelerate",
    "av",
    "datasets",
    "espeakng_loader",
    "fastapi",
    "flashlight",
    "fsspec",
    "huggingface_hub",
    "lhotse",
    "peft",
    "prometheus_client",
    "psutil",
    "segments",
    "sounddevice",
    "starlette",
    "swift_f0",
    "transformers",
    "uvicorn",
    "wyoming",
)  # the extras: a module that needs one imports without it

# Where the name of the distribution is not that of the import.
DISTRIBUTIONS = {"flashlight": "flashlight-text", "yaml": "pyyaml"}


def module_name(path: Path, package: Path) -> str:
    parts = path.relative_to(package.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@cache  # many tests ask, and parsing all files takes a second
def imports(path: Path, package: Path, members: bool = False) -> tuple[tuple[str, bool], ...]:
    """Every module that a file imports, in full, and whether it does so when it is imported itself; with
    `members` the names that are taken from it, which may be modules."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    inner = {
        node
        for function in ast.walk(tree)
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef)
        for node in ast.walk(function)
    }
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parents = module_name(path, package).split(".")
                drop = node.level - (path.name == "__init__.py")
                base = ".".join([*parents[: len(parents) - drop], *filter(None, [node.module])])
            names = [f"{base}.{alias.name}" for alias in node.names] if members else [base]
            if base == package.name:  # then the module, if it is one, stands in the second half
                names = [f"{base}.{alias.name}" for alias in node.names]
        else:
            continue
        for name in names:
            name = "tensorboard" if name.startswith("torch.utils.tensorboard") else name
            found.append((name, node not in inner))
    return tuple(found)


def stage_of(name: str, package: Path = PACKAGE) -> str:
    stage = [*name.split("."), "__init__"][1]
    dunder = stage.startswith("__") and not (package / f"{stage}.py").exists()
    return "__init__" if dunder else stage  # echo_asr.__version__ is no module


def wrong_directions(package: Path) -> list[str]:
    wrong = []
    for path in sorted(package.rglob("*.py")):
        stage = stage_of(module_name(path, package), package)
        if stage not in MAY_IMPORT:
            wrong.append(f"{path.relative_to(package)}: the stage {stage} is not in MAY_IMPORT; put it there")
            continue
        for name, _ in imports(path, package):
            if name.split(".")[0] != package.name:
                continue
            target = stage_of(name, package)
            if target != stage and target not in MAY_IMPORT[stage]:
                file = path.relative_to(package)
                wrong.append(f"{file} imports {name}, but {stage} must not import {target}")
    return wrong


@cache
def importers() -> dict[str, list[str]]:
    """The modules of the package that import each library from outside."""
    found: dict[str, set[str]] = defaultdict(set)
    for path in PACKAGE.rglob("*.py"):
        for name, _ in imports(path, PACKAGE):
            found[name.split(".")[0]].add(str(path.relative_to(PACKAGE)))
    return {
        library: sorted(modules)
        for library, modules in found.items()
        if library not in sys.stdlib_module_names and library != PACKAGE.name
    }


def run(code: str) -> str:
    """What a fresh interpreter prints."""
    command = [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(PACKAGE.parent)!r})\n{code}"]
    finished = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert finished.returncode == 0, finished.stderr
    return finished.stdout


def test_imports_point_one_way() -> None:
    assert wrong_directions(PACKAGE) == []


def circle(graph: dict[str, set[str]]) -> list[str]:
    """The modules of a circle of imports, or none."""
    free = {name for name, targets in graph.items() if not targets & graph.keys()}
    if free:
        return circle({name: targets for name, targets in graph.items() if name not in free})
    path = list(graph)[:1]
    while path and path[-1] not in path[:-1]:
        path.append(min(graph[path[-1]] & graph.keys()))
    return path[path.index(path[-1]) :] if path else []


def module_graph(package: Path) -> dict[str, set[str]]:
    """What each module of a package imports of it when it is imported or type-checked, not in functions."""
    paths = {module_name(path, package): path for path in package.rglob("*.py")}
    graph: dict[str, set[str]] = {}
    for name, path in paths.items():
        found = {target for target, at_import in imports(path, package, members=True) if at_import}
        modules = {target if target in paths else target.rpartition(".")[0] for target in found}
        graph[name] = (modules & paths.keys()) - {name}
    return graph


def test_no_modules_import_each_other_in_a_circle() -> None:
    graph = module_graph(PACKAGE)
    assert len(graph) > 100 and "echo_asr.errors" in graph["echo_asr.config"]
    assert circle(graph) == []


@pytest.mark.parametrize("guard", ["", "if TYPE_CHECKING:\n    "])
def test_a_circle_is_found(guard: str, tmp_path: Path) -> None:
    package = tmp_path / "echo_asr"
    (package / "a").mkdir(parents=True)
    (package / "a" / "__init__.py").write_text("")
    (package / "a" / "one.py").write_text(f"from typing import TYPE_CHECKING\n{guard}from echo_asr import two")
    (package / "two.py").write_text("from echo_asr.three import x")
    (package / "three.py").write_text("def f():\n    from echo_asr.a.one import y")
    assert circle(module_graph(package)) == []
    (package / "three.py").write_text("from echo_asr.a import one")
    imports.cache_clear()
    assert set(circle(module_graph(package))) == {"echo_asr.a.one", "echo_asr.two", "echo_asr.three"}


def test_the_directions_themselves_hold_no_circle() -> None:
    settled: set[str] = set()
    while open_stages := {stage for stage in MAY_IMPORT if stage not in settled}:
        free = {stage for stage in open_stages if MAY_IMPORT[stage] - {stage} <= settled}
        assert free, f"a circle among {sorted(open_stages)}"
        settled |= free


@pytest.mark.parametrize("stage", ["vrope", "audio", "features", "text", "data", "model", "decode", "evaluate"])
def test_inference_never_reaches_training(stage: str) -> None:
    reached, waiting = set(), [stage]
    while waiting:
        reached.add(current := waiting.pop())
        for path in PACKAGE.rglob("*.py"):
            name = module_name(path, PACKAGE)
            if stage_of(name) == current:
                targets = {stage_of(n) for n, _ in imports(path, PACKAGE) if n.startswith(f"{PACKAGE.name}.")}
                waiting.extend(targets - reached)
    assert not reached & {"train", "research", "commands", "cli"}


@pytest.mark.parametrize(
    ("path", "line", "message"),
    [
        ("vrope/bias.py", "from echo_asr.errors import EchoError", "vrope must not import errors"),
        ("vrope/bias.py", "from ..audio import load_audio", "vrope must not import audio"),
        ("audio.py", "import echo_asr.features.pitch", "audio must not import features"),
        ("text.py", "from echo_asr import features", "text must not import features"),
        ("decode/a.py", "def f():\n    from echo_asr.train import loop", "decode must not import train"),
        ("model/__init__.py", "from ..data import corpus", "model must not import data"),
        ("model/echo.py", "from .layers import Block\nimport torch.data", None),
        ("train/__init__.py", "from .loop import train\nfrom ..evaluate import metrics", None),
        ("stage.py", "import torch", "the stage stage is not in MAY_IMPORT"),
    ],
)
def test_a_wrong_direction_is_found(path: str, line: str, message: str | None, tmp_path: Path) -> None:
    file = tmp_path / "echo_asr" / path
    file.parent.mkdir(parents=True)
    file.write_text(line)
    found = wrong_directions(tmp_path / "echo_asr")
    assert len(found) == (message is not None)
    assert message is None or message in found[0]


def test_tests_share_helpers_and_import_no_tests() -> None:
    allowed = "tests.helpers"
    wrong = [
        f"{path.relative_to(ROOT)} imports {name}"
        for path in sorted((ROOT / "tests").rglob("*.py"))
        for name, _ in imports(path, ROOT / "tests")
        if name.split(".")[0] in ("tests", "conftest") or "test_" in name
        if name != allowed and not name.startswith(f"{allowed}.")
    ]
    assert wrong == [], "let a module of tests/helpers offer what both need"


@pytest.mark.parametrize("library", BEHIND_ONE_MODULE)
def test_a_heavy_library_is_imported_in_one_module_only(library: str) -> None:
    modules = importers().get(library, [])
    assert len(modules) <= 1, f"{library}: let one of {', '.join(modules)} offer what the others need"


@pytest.mark.parametrize("library", OPTIONAL)
def test_an_extra_is_imported_only_where_it_is_used(library: str) -> None:
    for path in PACKAGE.rglob("*.py"):
        for name, at_import in imports(path, PACKAGE):
            assert not at_import or name.split(".")[0] != library, f"importing {path.name} needs {library}"


def declared_distributions(*extras: str) -> set[str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    groups = [project["dependencies"], *(project["optional-dependencies"][extra] for extra in extras)]
    return {re.split(r"[\[<>=! ]", entry)[0] for group in groups for entry in group}


def test_every_library_is_declared_and_every_declared_one_used() -> None:
    extras = (
        "av",
        "datasets",
        "lhotse",
        "live",
        "lm",
        "pretrained",
        "profiles",
        "scale",
        "serve",
        "swiftf0",
        "synth",
        "wyoming",
    )
    declared = declared_distributions(*extras)
    used = {DISTRIBUTIONS.get(library, library.replace("_", "-")) for library in importers()}
    assert used - declared - {"fsspec", "pyarrow", "starlette"} == set()  # parts of datasets and of FastAPI
    within = {"peft", "python-multipart", "scipy", "urllib3", "websockets"}  # which FastAPI, lhotse and uvicorn need
    assert declared - used - within == set()


def test_what_is_pinned_is_what_is_asked_for() -> None:
    lines = (ROOT / "constraints-cpu.txt").read_text(encoding="utf-8").splitlines()
    pins = [line for line in lines if line and not line.startswith("#")]
    assert all(re.fullmatch(r"[a-z0-9-]+==[0-9.]+", pin) for pin in pins)
    assert {pin.split("==")[0] for pin in pins} == declared_distributions("docs", "lm", "synth", "test")


def test_vrope_pulls_in_nothing_but_torch() -> None:
    code = """
import torch
before = set(sys.modules)
import echo_asr.vrope
print(*sorted(set(sys.modules) - before))
"""
    new = run(code).split()
    assert {name for name in new if name.startswith("echo_asr")} >= {"echo_asr", "echo_asr.vrope"}
    strange = [
        name
        for name in new
        if name.split(".")[0] not in {*sys.stdlib_module_names, "torch"}
        and name != "echo_asr"
        and not name.startswith("echo_asr.vrope")
    ]
    assert strange == []


@pytest.mark.parametrize("module", ["echo_asr", "echo_asr.cli"])
def test_the_command_line_loads_nothing_heavy_until_it_is_needed(module: str) -> None:
    heavy = ["torch", "numpy", "matplotlib", "tensorboard", "tokenizers", "jiwer", "onnxruntime"]
    assert run(f"import {module}\nprint(*[n for n in {heavy!r} if n in sys.modules])").split() == []


def test_importing_everything_prints_nothing_and_touches_neither_warnings_nor_threads() -> None:
    modules = sorted(module_name(path, PACKAGE) for path in PACKAGE.rglob("*.py") if path.stem != "__main__")
    code = f"""
import importlib, os, random, warnings
import torch
import jiwer, matplotlib, rich.console, safetensors, soundfile, soxr, tokenizers, yaml  # whose own doings are not ours

def state():
    torch_state = torch.get_num_threads(), torch.get_default_dtype(), torch.get_rng_state().tolist()
    return torch_state, random.getstate(), dict(os.environ), sorted(os.listdir())

before, filters = state(), list(warnings.filters)
for module in {modules!r}:
    importlib.import_module(module)
assert state() == before
assert [entry for entry in warnings.filters if entry not in filters] == []
"""
    assert run(code) == ""
