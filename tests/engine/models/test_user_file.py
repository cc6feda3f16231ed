"""Networks from the user's own file: trust first, then errors that name the line."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from kdstudio.engine.models import build_model
from kdstudio.project.errors import ModelError
from kdstudio.project.spec import ModelSpec

GOOD = """
from dataclasses import dataclass
from torch import nn
from helper import WIDTH

@dataclass
class Options:
    width: int = WIDTH

def build(input_shape, num_classes, width=3):
    channels = input_shape[0]
    return nn.Sequential(nn.Conv2d(channels, width, 3), nn.ReLU(), nn.Flatten(), nn.LazyLinear(num_classes))
"""


def build(root: Path, text: str, trusted: bool = True, model: str = "models.py:build", **args: Any) -> nn.Module:
    (root / "models.py").write_text(text, encoding="utf-8")
    (root / "helper.py").write_text("WIDTH = 5\n", encoding="utf-8")
    return build_model(ModelSpec(model=model, args=args), (3, 8, 8), 4, root, trusted)


def failure(root: Path, text: str, **fields: Any) -> ModelError:
    with pytest.raises(ModelError) as caught:
        build(root, text, **fields)
    assert "Traceback" not in str(caught.value)
    return caught.value


def test_a_trusted_file_is_built_with_its_arguments(tmp_path: Path) -> None:
    path = list(sys.path)
    model = build(tmp_path, GOOD, width=6)
    assert model(torch.randn(2, 3, 8, 8)).shape == (2, 4)
    assert model.get_parameter("0.weight").shape[0] == 6
    assert sys.path == path


def test_a_changed_file_is_read_again(tmp_path: Path) -> None:
    build(tmp_path, GOOD)
    assert build(tmp_path, GOOD.replace("width=3", "width=17")).get_parameter("0.weight").shape[0] == 17


def test_an_untrusted_file_never_runs(tmp_path: Path) -> None:
    mark = tmp_path / "it-ran"
    error = failure(tmp_path, f"open({str(mark)!r}, 'w')", trusted=False)
    assert error.kind == "untrusted"
    assert "trust" in error.fix
    assert not mark.exists()


@pytest.mark.parametrize(
    ("text", "what", "why"),
    [
        ("x = 1\n\nimport nothing_of_this_name\n", "models.py, line 3", "nothing_of_this_name"),
        ("def build(:\n", "models.py, line 1", "SyntaxError"),
        ("\nraise SystemExit(3)\n", "models.py, line 2", "SystemExit"),
        ("def build(**k):\n    return k['absent']\n", "models.py, line 2: build() failed", "KeyError"),
        ("def build():\n    pass\n", "models.py: build() failed", "unexpected keyword"),
        ("build = 3\n", "no function 'build'", ""),
        ("def build(**k):\n    return 3\n", "returned a int", ""),
        (
            "from torch import nn\nclass Net(nn.Module):\n    def forward(self, x):\n        return x.view(7, 7)\n"
            "def build(**k):\n    return Net()\n",
            "models.py, line 4: the network fails on a sample of shape (3, 8, 8)",
            "RuntimeError",
        ),
        (
            "from torch import nn\ndef build(**k):\n    return nn.Sequential(nn.Flatten(), nn.Linear(192, 9))\n",
            "gives outputs of shape (9,)",
            "The data has 4 classes",
        ),
        (
            "from torch import nn\nclass Net(nn.Module):\n    def forward(self, x):\n        return x, x\n"
            "def build(**k):\n    return Net()\n",
            "gives a tuple",
            "one tensor",
        ),
    ],
)
def test_errors_name_file_and_line(tmp_path: Path, text: str, what: str, why: str) -> None:
    error = failure(tmp_path, text)
    assert what in error.what
    assert why in error.why


def test_a_similar_function_is_suggested(tmp_path: Path) -> None:
    error = failure(tmp_path, "def build_net(**k):\n    pass\n", model="models.py:buildnet")
    assert "did you mean 'build_net'" in error.fix


def test_a_missing_file(tmp_path: Path) -> None:
    error = failure(tmp_path, GOOD, model="other.py:build")
    assert "the file other.py does not exist" in error.what


def test_the_random_state_is_the_callers(tmp_path: Path) -> None:
    torch.manual_seed(0)
    first = build(tmp_path, GOOD)
    torch.manual_seed(0)
    assert torch.equal(build(tmp_path, GOOD).get_parameter("0.weight"), first.get_parameter("0.weight"))
