"""Students of texts, written for others and tried in fresh processes."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from kdstudio.engine.export import export_student
from kdstudio.engine.run import data_of
from kdstudio.project.errors import InputError, ParityError
from tests.engine.conftest import Lab
from tests.engine.text_kit import SMALL_BERT, SMALL_GPT2, corpus_data, table_data, train, write_corpus, write_table

#: Says that the program is not installed.
WITHOUT_US = "import sys; sys.modules['kdstudio'] = None\n"
KINDS = {"classification": ("bert", SMALL_BERT), "causal-lm": ("gpt2", SMALL_GPT2), "masked-lm": ("bert", SMALL_BERT)}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A finished run of each task, a second each."""
    found = {}
    for task, (kind, args) in KINDS.items():
        with pytest.MonkeyPatch.context() as patch:
            lab = Lab(tmp_path_factory.mktemp(task), patch)
            write_table(lab.project.root / "texts.csv")
            write_corpus(lab.project.root / "corpus.txt")
            data = table_data() if task == "classification" else corpus_data(task)
            network = {"model": f"transformers:{kind}", "args": args}
            found[task] = lab.run(
                data=data,
                teacher=None,
                student=network,
                objective=[{"term": "hard"}],
                train=train(1),
                evaluate={"latency": False},
            )
    return found


def export(run: Any, kind: str, out: Path) -> Any:
    return export_student(run.student_dir, kind, out, data_of(run))


def slow(task: str, kind: str) -> Any:
    return pytest.param(task, kind, marks=pytest.mark.slow)


@pytest.mark.parametrize(
    ("task", "kind"),
    [
        slow("classification", "transformers"),
        ("classification", "onnx"),
        ("causal-lm", "transformers"),
        slow("classification", "onnx-int8"),
        slow("classification", "torch-export"),
        slow("causal-lm", "onnx"),
        slow("causal-lm", "torch-export"),
        slow("masked-lm", "transformers"),
        slow("masked-lm", "onnx-int8"),
    ],
)
def test_readme_runs_without_us(runs: dict[str, Any], task: str, kind: str, tmp_path: Path) -> None:
    result = export(runs[task], kind, tmp_path / "out")
    assert result.parity["ok"]
    assert (result.parity["tolerance"] is None) == (kind == "onnx-int8")
    code = re.search(r"```python\n(.*?)```", (tmp_path / "out" / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    assert code is not None
    command = [sys.executable, "-I", "-c", WITHOUT_US + code[1]]
    done = subprocess.run(command, cwd=tmp_path / "out", capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    if task == "classification":
        assert done.stdout.strip() in ("good", "bad")


@pytest.mark.slow
def test_int8_is_smaller_and_says_what_it_costs(runs: dict[str, Any], tmp_path: Path) -> None:
    result = export(runs["classification"], "onnx-int8", tmp_path / "out")
    said = json.loads((tmp_path / "out" / "metadata.json").read_text(encoding="utf-8"))
    assert result.bytes < said["float_bytes"]
    assert {"accuracy", "expected_accuracy", "agreement", "nll", "expected_nll"} <= result.parity.keys()


def test_a_damaged_folder_does_not_pass(runs: dict[str, Any], tmp_path: Path) -> None:
    from kdstudio.engine.export import check_or_raise
    from kdstudio.engine.student_io import load_student

    run = runs["classification"]
    export(run, "transformers", tmp_path / "out")
    path = tmp_path / "out" / "config.json"
    path.write_text(path.read_text(encoding="utf-8").replace('"good"', '"fine"'), encoding="utf-8")
    with pytest.raises(ParityError, match=r"config.json is not the file that was written"):
        check_or_raise(tmp_path / "out", load_student(run.student_dir), data_of(run).test)


def test_pictures_are_not_for_the_library(lab: Any, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="mlp is no model of the transformers library"):
        export(lab.run(), "transformers", tmp_path / "out")


def test_int8_of_pictures(lab: Any, tmp_path: Path) -> None:
    assert export(lab.run(), "onnx-int8", tmp_path / "out").parity["ok"]
