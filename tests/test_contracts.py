"""The walls of the house: what each room may load, and what no file may say."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[1]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
DEPENDENCIES = {found.name.lower(): found for found in map(Requirement, PYPROJECT["project"]["dependencies"])}
EXTRAS = {
    found.name.lower(): found
    for extra, lines in PYPROJECT["project"]["optional-dependencies"].items()
    for found in map(Requirement, lines)
    if extra != "test"
}
TORCH = ("torch", "torchvision", "timm", "transformers", "accelerate")
QT = ("PySide6", "shiboken6", "pyqtgraph")
LONGEST_FILE = 500


def files(*folders: str, suffixes: tuple[str, ...]) -> list[Path]:
    """The files that are part of the repository, by path."""
    found = [path for folder in folders for path in (ROOT / folder).rglob("*") if path.suffix in suffixes]
    unused = {"__pycache__", "runs", "teachers", ".kdstudio"}
    return sorted(path for path in found if path.is_file() and not unused & set(path.relative_to(ROOT).parts[1:-1]))


SOURCES = files("kdstudio", "tests", suffixes=(".py",))
TEXTS = [
    *files(
        "kdstudio",
        "tests",
        "resources",
        "projects",
        "docs",
        suffixes=(".py", ".yaml", ".json", ".html", ".qss", ".svg", ".md"),
    ),
    *(ROOT / name for name in ("pyproject.toml", "README.md", "CHANGELOG.md", ".ci/run")),
]


def modules(package: str) -> list[str]:
    """All modules below a package, read from the files."""
    found = []
    for path in sorted((ROOT / package.replace(".", "/")).rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        found.append(".".join(parts[:-1] if parts[-1] == "__init__" else parts))
    return found


LOAD = """
import importlib, sys

class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in refused:
            raise ImportError(f"{name} is out of bounds here")

modules, refused = (words.split() for words in sys.stdin.read().split("|"))
sys.meta_path.insert(0, Refuse())
for module in modules:
    importlib.import_module(module)
print(*sorted(sys.modules))
"""


def loaded(names: list[str], refused: tuple[str, ...] = ()) -> set[str]:
    """What a fresh process has loaded after it imported the modules; some may be out of bounds."""
    done = subprocess.run(
        [sys.executable, "-c", LOAD],
        input=f"{' '.join(names)}|{' '.join(refused)}",
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, "QT_QPA_PLATFORM": "offscreen"},
    )
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


def rooms(names: set[str]) -> set[str]:
    """The packages that modules belong to, those of this program by room."""
    return {".".join(name.split(".")[:2]) if name.startswith("kdstudio.") else name.split(".")[0] for name in names}


# -- the rooms -----------------------------------------------------------------------------------------------------


def test_import_contracts() -> None:
    """Those of pyproject.toml, over all imports, those inside of functions too."""
    command = [sys.executable, "-c", "import sys; from importlinter.cli import lint_imports_command as main; main()"]
    done = subprocess.run([*command, "--no-cache", "--no-logo"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    contracts = PYPROJECT["tool"]["importlinter"]["contracts"]
    assert f"Contracts: {len(contracts)} kept, 0 broken." in done.stdout


def test_the_contracts_forbid_what_the_design_forbids() -> None:
    contracts = {contract["source_modules"][0]: contract for contract in PYPROJECT["tool"]["importlinter"]["contracts"]}
    assert set(contracts) == {"kdstudio.engine", "kdstudio.gui", "kdstudio.project"}
    assert {*QT, "kdstudio.gui"} <= set(contracts["kdstudio.engine"]["forbidden_modules"])
    assert {*TORCH, "kdstudio.engine"} <= set(contracts["kdstudio.gui"]["forbidden_modules"])
    alone = {*TORCH, "PySide6", "pyqtgraph", "kdstudio.engine", "kdstudio.gui"}
    assert alone <= set(contracts["kdstudio.project"]["forbidden_modules"])
    assert not any("ignore_imports" in contract for contract in contracts.values())


def test_the_window_starts_without_torch() -> None:
    found = rooms(loaded(["kdstudio.gui.app", "kdstudio.gui.main_window"]))
    assert "kdstudio.project" in found
    assert not found & {*TORCH, "kdstudio.engine", "sklearn", "onnx", "onnxruntime"}


def test_no_module_of_the_window_loads_torch() -> None:
    names = modules("kdstudio.gui")
    assert len(names) > 20
    assert not rooms(loaded(names, refused=TORCH)) & {*TORCH, "kdstudio.engine"}


def test_the_project_room_and_the_command_line_load_neither() -> None:
    names = ["kdstudio.cli", *modules("kdstudio.project")]
    found = rooms(loaded(names))
    assert not found & {*TORCH, *QT, "kdstudio.engine", "kdstudio.gui", "sklearn", "onnx", "onnxruntime"}
    assert rooms(loaded(names, refused=(*TORCH, *QT))) == found  # nothing is tried and given up either


def test_help_loads_neither() -> None:
    found = rooms(loaded(["kdstudio.cli", *modules("kdstudio.commands")]))
    assert not found & {*TORCH, *QT, "kdstudio.engine", "kdstudio.gui"}


def test_the_engine_works_where_there_is_no_qt() -> None:
    names = modules("kdstudio.engine")
    assert len(names) > 40
    found = rooms(loaded(names, refused=QT))
    assert "torch" in found
    assert not found & {*QT, "kdstudio.gui"}


# -- what is needed ------------------------------------------------------------------------------------------------


def test_the_release_of_qt_that_aborts_is_excluded() -> None:
    qt = DEPENDENCIES["pyside6-essentials"].specifier
    assert "6.12.0" not in qt
    assert "6.13.0" not in qt
    assert "6.8.0" in qt
    assert "6.11.1" in qt
    assert "pyside6" not in DEPENDENCIES  # the whole of Qt is several times as large


def test_every_dependency_has_both_bounds() -> None:
    for requirement in (*DEPENDENCIES.values(), *EXTRAS.values()):
        operators = {specifier.operator for specifier in requirement.specifier}
        assert {">=", "<"} <= operators, requirement


IMPORT_NAMES = {
    "PIL": "pillow",
    "PySide6": "pyside6-essentials",
    "pynvml": "nvidia-ml-py",
    "pydantic_core": "pydantic",  # these two come with what is declared, in the release that fits
    "shiboken6": "pyside6-essentials",
    "sklearn": "scikit-learn",
    "yaml": "pyyaml",
}


def _imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (name.name.partition(".")[0] for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.partition(".")[0]


def test_what_is_imported_is_declared_and_what_is_declared_is_imported() -> None:
    names = {name for path in files("kdstudio", suffixes=(".py",)) for name in _imports(path)}
    foreign = names - set(sys.stdlib_module_names) - {"kdstudio", "__future__"}
    declared = {IMPORT_NAMES.get(name, name.lower()) for name in foreign}
    assert declared <= {*DEPENDENCIES, *EXTRAS}
    needed_by_others = {"onnxscript", "tensorboard", "wandb"}  # torch's exporter, accelerate's trackers
    assert {*DEPENDENCIES, *EXTRAS} - declared <= needed_by_others


def test_extras_are_not_needed_to_load_anything() -> None:
    """Whoever did without them gets less, not an error."""
    names = [name for name, package in IMPORT_NAMES.items() if package in EXTRAS]
    loaded(modules("kdstudio.engine"), refused=tuple(names))


# -- what no file may say ------------------------------------------------------------------------------------------


def test_files_are_found() -> None:
    assert len(SOURCES) > 100
    assert len(TEXTS) > len(SOURCES)
    assert all(path.exists() for path in TEXTS)


@pytest.mark.parametrize("folder", ["kdstudio", "tests"])
def test_files_are_short(folder: str) -> None:
    lengths = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in SOURCES}
    long = {str(path.relative_to(ROOT)): length for path, length in lengths.items() if length >= LONGEST_FILE}
    assert not {path: length for path, length in long.items() if path.startswith(folder)}


HOMES = re.compile(r"""(?<![\w.:/<>~*})])/(?:root|home|Users|work|workspace|mnt|media)/[\w.]""")
UPWARDS = re.compile(r"(?:\.\./)+\w[\w.-]*")


def test_no_file_names_a_place_on_somebody_s_machine() -> None:
    here = {str(ROOT), str(Path.home()), sys.prefix} - {"/", "/usr", "/usr/local"}
    for path in TEXTS:
        text = path.read_text(encoding="utf-8")
        named = [place for place in here if re.search(rf"(?<![\w.]){re.escape(place)}(?![\w-])", text)]
        assert not named, f"{path.relative_to(ROOT)} names {named}"
        found = HOMES.search(text)
        assert found is None, f"{path.relative_to(ROOT)}: {text[found.start() - 20 : found.end() + 20]!r}"


def test_no_file_leads_out_of_the_repository() -> None:
    for path in TEXTS:
        if path.is_relative_to(ROOT / "tests"):  # tests of paths that lead astray write such paths
            continue
        for found in UPWARDS.findall(path.read_text(encoding="utf-8")):
            target = (path.parent / found).resolve()
            assert target.is_relative_to(ROOT), f"{path.relative_to(ROOT)}: {found}"


def test_no_source_reaches_beyond_the_repository() -> None:
    """`parents[n]` of a file's own path stays inside."""
    for path in SOURCES:
        depth = len(path.relative_to(ROOT).parts)
        text = path.read_text(encoding="utf-8")
        for climbs in re.findall(r"__file__\)(?:\.resolve\(\))?\.parents\[(\d+)\]", text):
            assert int(climbs) < depth, path
        for parents in re.findall(r"__file__\)(?:\.resolve\(\))?((?:\.parent\b)+)", text):
            assert parents.count(".parent") <= depth, path
