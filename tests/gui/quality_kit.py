"""The quality panel in tests: runs with a scorecard, and the panel with the moment that it shows."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
from PySide6.QtWidgets import QApplication, QComboBox
from pytestqt.qtbot import QtBot
from safetensors.numpy import save_file

from kdstudio.gui.monitor.moment import Moment
from kdstudio.gui.monitor.quality import QualityPanel
from kdstudio.gui.theme import Theme
from kdstudio.gui.worker import TrainingWorker
from kdstudio.project.runs.evaluation import EVALUATION_FILE, classification_facts, fidelity_facts
from kdstudio.project.runs.folder import RunFolder
from kdstudio.project.runs.snapshots import list_snapshots
from tests.gui.panels import LEFT, draw, follow, show

VIEWS = ("curves", "classes", "confusion", "calibration", "samples")


def evaluated(run: RunFolder, classes: int = 10, count: int = 120, teacher: bool = True) -> dict[str, Any]:
    """Writes a scorecard and the samples that belong to it. Returns the scorecard."""
    rng = np.random.default_rng(4)
    labels = np.arange(count) % classes
    names = [f"class {number}" for number in range(classes)]
    outputs = {
        name: (rng.normal(size=(count, classes)) + strength * np.eye(classes)[labels]).astype(np.float32)
        for name, strength in (("student", 2.0), ("teacher", 3.0), ("baseline", 1.5))
        if teacher or name == "student"
    }
    networks = {}
    for name, found in outputs.items():
        entry = classification_facts(found, labels, names)
        if teacher and name != "teacher":
            entry["fidelity"] = fidelity_facts(found, outputs["teacher"])
        networks[name] = {"validation": entry, "test": entry}
    card = {"reported_split": "test", "classes": names, "networks": networks, "headline": {}}
    run.scorecard_path.write_text(json.dumps(card))
    student = networks["student"]["test"]
    rows = {"worst": student["worst"], "disagreeing": student.get("fidelity", {}).get("disagreeing", [])}
    indices = np.array(sorted({index for found in rows.values() for index in found}))
    arrays: dict[str, np.ndarray] = {
        "indices": indices,
        "labels": labels[indices],
        "images": rng.integers(0, 255, (len(indices), 8, 8, 1), dtype=np.uint8),
    }
    for name, found in rows.items():
        arrays[name] = np.searchsorted(indices, np.array(found, np.int64)).astype(np.int64)
    for name, found in outputs.items():
        sure = np.exp(found - found.max(axis=1, keepdims=True))
        arrays[f"predicted_{name}"] = found[indices].argmax(axis=1)
        arrays[f"confidence_{name}"] = (1 / sure.sum(axis=1))[indices].astype(np.float32)
    save_file(
        {key: np.ascontiguousarray(array) for key, array in arrays.items()},
        run.path / EVALUATION_FILE,
        {"split": "test", "classes": json.dumps(names)},
    )
    return card


def evaluated_as(run: RunFolder, metric: str) -> dict[str, Any]:
    """Writes the scorecard of a tagger (f1) or a language model (perplexity). Returns it."""
    card = evaluated(run, classes=3, count=60)
    card |= {"metric": metric, "classes": ["O", "B-LOC", "B-PER"]}
    for place, network in enumerate(card["networks"].values()):
        for split in ("validation", "test"):
            entry = network[split] = dict(network[split])
            del entry["worst"]
            if metric == "f1":
                kinds = {"LOC": (0.9, 0.8, 0.85, 20), "PER": (0.5, 0.4, 0.44, 20)}
                names = ("precision", "recall", "f1", "count")
                entry["per_tag"] = {kind: dict(zip(names, figures)) for kind, figures in kinds.items()}
                entry |= {"f1": 0.9 - place / 10, "precision": 0.8, "recall": 0.7}
            else:
                for key in ("per_class", "confusion", "reliability"):
                    del entry[key]
                entry["perplexity"] = 20.0
    run.scorecard_path.write_text(json.dumps(card))
    (run.path / EVALUATION_FILE).unlink()
    return card


class Shown:
    """A quality panel and the moment that it shows."""

    def __init__(self, qtbot: QtBot, theme: Theme) -> None:
        self.qtbot = qtbot
        self.moment = Moment()
        self.panel = QualityPanel(theme, self.moment)
        show(qtbot, self.panel, (900, 340))

    def follow(self, run: RunFolder) -> TrainingWorker:
        self.moment.set_run(run)
        self.moment.take(list_snapshots(run))
        return follow(self.qtbot, self.panel, run)

    def choose(self, view: str) -> Any:
        """Goes to a view by a click on its tab."""
        bar = self.panel.switch.switch
        index = VIEWS.index(view)
        self.qtbot.mouseClick(bar, LEFT, pos=bar.tabRect(index).center())
        assert bar.currentIndex() == index
        draw(self.panel)
        return self.panel.views[index]

    def pick(self, box: QComboBox, text: str) -> None:
        box.setCurrentIndex(box.findText(text))
        assert box.currentText() == text
        box.activated.emit(box.currentIndex())
        QApplication.processEvents()
