"""The Setup page in tests: in a window of its own, with an engine that the test answers for, or the real one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from PySide6.QtCore import QObject, Qt, Signal
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QMainWindow, QWidget
from pytestqt.qtbot import QtBot

from kdstudio.gui.setup.fields import FieldBox
from kdstudio.gui.setup.page import SetupPage
from kdstudio.project.folder import Project, create_project

PATIENCE = 120_000
LEFT = Qt.MouseButton.LeftButton


class SilentEngine(QObject):
    """In the place of the engine's client: keeps the questions, and answers when the test says so."""

    answered = Signal(str, object)
    failed = Signal(str, object)
    progressed = Signal(str, str, int, int)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.questions: dict[str, dict[str, Any]] = {}
        self.cancelled: list[str] = []
        self.fresh = 0

    def ask(self, channel: str, question: dict[str, Any], fresh: bool = False, keep: bool = True) -> None:
        self.questions[channel] = question
        self.fresh += fresh

    def cancel(self, channel: str) -> None:
        self.cancelled.append(channel)

    def shut_down(self) -> None:
        self.questions.clear()

    def answer(self, channel: str, answer: dict[str, Any]) -> None:
        assert channel in self.questions, f"nothing was asked on {channel}"
        self.answered.emit(channel, answer)


class SetupKit:
    """The page in a window, and what a person does with it."""

    def __init__(self, qtbot: QtBot, page: SetupPage, size: tuple[int, int] = (1050, 600)) -> None:
        self.qtbot = qtbot
        self.page = page
        self.window = QMainWindow()
        self.window.setCentralWidget(page)
        self.window.resize(*size)
        self.window.show()
        qtbot.waitExposed(self.window)
        self.window.activateWindow()
        qtbot.waitUntil(self.window.isActiveWindow, timeout=20_000)

    @property
    def engine(self) -> Any:
        return self.page.client

    def open(self, project: Project, name: str = "soft-targets") -> SetupPage:
        self.page.open_experiment(project, project.path_of(name))
        return self.page

    def value(self, path: str) -> Any:
        return self.page.document.get(path)

    def go(self, section: str) -> Any:
        """Clicks a section in the list."""
        row = next(
            index for index in range(self.page.sections.count()) if self._name(index).lower().startswith(section)
        )
        item = self.page.sections.item(row)
        area = self.page.sections.visualItemRect(item)
        self.qtbot.mouseClick(self.page.sections.viewport(), LEFT, pos=area.center())
        QApplication.processEvents()
        return self.page.current_section()

    def _name(self, row: int) -> str:
        return self.page.sections.item(row).text()

    def field(self, path: str) -> FieldBox:
        """A field on screen, its folds opened, with the cursor in it."""
        self.page.show_field(path)
        self.qtbot.waitUntil(lambda: path in self.page.context.boxes, timeout=10_000)
        QApplication.processEvents()
        box = self.page.context.boxes[path]
        self.qtbot.waitUntil(box.isVisible, timeout=10_000)
        return box

    def click(self, widget: QWidget) -> None:
        self.qtbot.waitUntil(lambda: widget.isVisible() and min(widget.width(), widget.height()) > 4, timeout=10_000)
        assert widget.isEnabled(), widget
        self.qtbot.mouseClick(widget, LEFT)

    def type_into(self, line: QWidget, text: str) -> None:
        """Replaces the text of a line by typing."""
        line.setFocus()
        QTest.keyClick(line, Qt.Key.Key_A, Qt.KeyboardModifier.ControlModifier)
        QTest.keyClick(line, Qt.Key.Key_Delete)
        QTest.keyClicks(line, text)

    def settle(self) -> None:
        """What is checked a little later is checked now."""
        self.page.check()
        QApplication.processEvents()

    def close(self) -> None:
        self.page.close_experiment()
        self.window.close()
        self.window.deleteLater()
        QApplication.processEvents()


TEACHER_YAML = """\
teacher:
  model: mlp
  widths: [256, 256]
  dropout: 0.3
  train: {epochs: 4, optimizer: adamw, lr: 0.003, weight_decay: 0.01}
"""
STUDENT_YAML = """\
student: {model: mlp, widths: [32]}
"""
TRAIN_YAML = """\
train: {epochs: 6, optimizer: adamw, lr: 0.003, weight_decay: 0.01}
baseline: true  # also train the student alone
monitor: {every_seconds: 0.2}
evaluate: {latency: false}
"""
TERMS_YAML = {
    "soft-targets": ["{term: hard, weight: 0.1}", "{term: soft, weight: 0.9, temperature: 2}"],
    "hints": [
        "{term: hard, weight: 0.1}",
        "{term: soft, weight: 0.9, temperature: 2}",
        "{term: hint, weight: 1.0, pairs: [{teacher: hidden1, student: hidden1}]}",
    ],
    "two-stage": [
        "{term: hint, weight: 1.0, until_epoch: 3, pairs: [{teacher: hidden1, student: hidden1}]}",
        "{term: hard, weight: 0.1, from_epoch: 3}",
        "{term: soft, weight: 0.9, temperature: 2, from_epoch: 3}",
    ],
    "hard-labels": ["{term: hard, weight: 1.0}"],
}


def make_sample(root: Path) -> Project:
    """A project on the digits whose experiments do not change when the sample projects do."""
    project = create_project(root, "empty")
    for name, terms in TERMS_YAML.items():
        text = f"# Hinton's soft targets, or less.\nversion: 1\nname: {name}\n"
        text += "data: {source: digits, batch_size: 64, train_limit: 300}\n"
        text += (TEACHER_YAML if len(terms) > 1 else "") + STUDENT_YAML
        text += "objective:\n" + "".join(f"  - {term}\n" for term in terms) + TRAIN_YAML
        (project.experiments_dir / f"{name}.yaml").write_text(text, encoding="utf-8")
    return project


def data_answer(shape: tuple[int, ...] = (1, 8, 8), classes: int = 10) -> dict[str, Any]:
    """An answer of the engine about data."""
    return {
        "kind": "data",
        "name": "digits",
        "input_shape": list(shape),
        "classes": [str(number) for number in range(classes)],
        "samples": {"train": 300, "validation": 150, "test": 270},
        "counts": {split: [n] * classes for split, n in (("train", 30), ("validation", 15), ("test", 27))},
        "mean": [0.3] * shape[0],
        "std": [0.4] * shape[0],
        "fingerprint": "0",
        "problems": [],
        "examples": [],
    }


def model_answer(parameters: int, flops: int, layers: list[tuple[str, tuple[int, ...]]]) -> dict[str, Any]:
    """An answer of the engine about a network."""
    return {
        "kind": "model",
        "model": "net",
        "input_shape": [1, 8, 8],
        "num_classes": 10,
        "parameters": parameters,
        "flops": flops,
        "layers": [
            {"name": name, "kind": "Layer", "output_shape": list(shape), "parameters": 1} for name, shape in layers
        ],
    }


TEACHER = model_answer(85002, 168960, [("hidden1", (256,)), ("hidden2", (256,)), ("fc", (10,))])
STUDENT = model_answer(2410, 4736, [("hidden1", (32,)), ("fc", (10,))])


CNN = model_answer(1000, 1000, [("stage1", (8, 8, 8)), ("stage2", (12, 4, 4)), ("fc", (10,))])


def know_cnns(kit: SetupKit) -> None:
    """The engine answers that both networks are convolutional nets of the same widths."""
    kit.engine.answer("data", data_answer())
    for side in ("student", "teacher"):
        kit.engine.answer(side, CNN)


def know_berts(kit: SetupKit) -> None:
    """The engine answers that the data are texts, and the networks transformers of four blocks and of two."""
    tokens = {
        "total": 4000,
        "shortest": 3,
        "median": 9.0,
        "longest": 16,
        "cut": 0.1,
        "beyond": 0,
        "counts": [3, 4],
        "edges": [0, 8, 16],
    }
    texts = [{"label": 0, "index": 0, "text": "nothing much", "tokens": 4, "whole": True}]
    facts = {"task": "classification", "max_tokens": 16}
    about = {"task": "classification", "facts": facts, "vocabulary": 300, "tokenizer": "bpe:300"}
    kit.engine.answer("data", {**data_answer(), "text": {**about, "tokens": tokens, "texts": texts}})
    for side, depth in (("student", 2), ("teacher", 4)):
        names = [f"bert.encoder.layer.{number}" for number in range(depth)]
        layers = [{"name": name, "kind": "BertLayer", "output_shape": [16, 32], "parameters": 9} for name in names]
        layers.append({"name": "classifier", "kind": "Linear", "output_shape": [10], "parameters": 9})
        kit.engine.answer(side, {**CNN, "layers": layers, "parts": layers})


def know_all(kit: SetupKit) -> None:
    """The engine answers about data and both networks of the digits sample."""
    kit.engine.answer("data", data_answer())
    kit.engine.answer("student", STUDENT)
    if "teacher" in kit.engine.questions:
        kit.engine.answer("teacher", TEACHER)
