"""A project with quick experiments, and commands run in this process."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from kdstudio.cli import main
from kdstudio.project.folder import Project, create_project

Command = Callable[..., tuple[int, str, str]]

QUICK = """\
# five steps an epoch
data: {source: digits, batch_size: 32, train_limit: 160}
teacher: {model: mlp, widths: [24], train: {epochs: 2, lr: 0.1}}
student: {model: mlp, widths: [12]}
objective:
  - {term: hard, weight: 0.2}
  - {term: soft, weight: 0.8, temperature: 2}
train: {epochs: 3, lr: 0.1}
evaluate: {latency: false}
"""


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """Sums in one order, in this process and in its children."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A project whose experiment `quick` takes a third of a second."""
    made = create_project(tmp_path / "project", "empty")
    (made.experiments_dir / "quick.yaml").write_text(QUICK)
    return made


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str]) -> Command:
    """`command("run", path)`: exit code, stdout and stderr of a command; it must not show a traceback."""

    def call(*words: object) -> tuple[int, str, str]:
        capsys.readouterr()
        code = main([str(word) for word in words])
        captured = capsys.readouterr()
        assert "Traceback" not in captured.out + captured.err
        return code, captured.out, captured.err

    return call
