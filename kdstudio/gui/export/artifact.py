"""One export format: what it is for, what was exported, and the button that exports and checks."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PySide6.QtCore import QUrl, Signal
from PySide6.QtGui import QDesktopServices
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel, QProgressBar, QPushButton, QVBoxLayout

from kdstudio.gui.language import mark, tr


@dataclass(frozen=True)
class Format:
    """A format of `kdstudio export --format`."""

    name: str
    title: str
    text: str


FORMATS = (
    Format("onnx", "ONNX", mark("Runs anywhere: onnxruntime, TensorRT, OpenVINO, browsers. Preprocessing is inside.")),
    Format(
        "torch-export",
        "torch.export",
        mark("A .pt2 program for PyTorch alone, without KD Studio. Preprocessing is inside."),
    ),
    Format(
        "onnx-int8",
        "ONNX, int8",
        mark("The ONNX file in eight bits: a quarter of the size. What that costs in quality is measured."),
    ),
    Format(
        "transformers",
        "transformers",
        mark("A folder for from_pretrained of the transformers library, with its tokenizer. For students of texts."),
    ),
    Format(
        "safetensors", "safetensors", mark("Weights, and the spec that rebuilds the student: to train or convert on.")
    ),
)


class ArtifactCard(QFrame):
    """Exports in this format; shows what the check in a fresh process found.

    Signals:
        asked: Export, or cancel if that is going on.
    """

    asked = Signal(str)

    def __init__(self, kind: Format) -> None:
        super().__init__()
        self.setObjectName("card")
        self.kind = kind
        self.folder: Path | None = None
        title = QLabel(kind.title)
        title.setObjectName("heading")
        text = QLabel(tr(kind.text))
        text.setObjectName("soft")
        text.setWordWrap(True)
        self.result = QLabel()
        self.result.setWordWrap(True)
        self.button = QPushButton(tr("Export and check"))
        self.button.setAccessibleName(tr("Export as {format} and check", format=kind.title))
        self.button.clicked.connect(lambda: self.asked.emit(kind.name))
        self.open_button = QPushButton(tr("Open folder"))
        self.open_button.setAccessibleName(tr("Open the folder of the {format} export", format=kind.title))
        self.open_button.clicked.connect(self._open)
        self.busy = QProgressBar()
        self.busy.setRange(0, 0)
        self.busy.setTextVisible(False)
        self.busy.setFixedHeight(6)
        self.busy.hide()
        row = QHBoxLayout()
        row.addWidget(self.button)
        row.addWidget(self.open_button)
        row.addStretch()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(16, 12, 16, 12)
        layout.setSpacing(8)
        layout.addWidget(title)
        layout.addWidget(text)
        layout.addStretch(1)
        layout.addWidget(self.result)
        layout.addWidget(self.busy)
        layout.addLayout(row)

    def show_folder(self, folder: Path | None) -> None:
        """Shows what lies in the export folder of a run."""
        self.folder = folder
        metadata = _read(folder / "metadata.json") if folder is not None else None
        parity = _read(folder / "parity.json") if folder is not None else None
        self.open_button.setVisible(metadata is not None)
        self.result.setVisible(metadata is not None)
        self.button.setText(tr("Export and check") if metadata is None else tr("Export again"))
        if metadata is None or folder is None:
            return
        file = folder / str(metadata.get("file", ""))
        size = f"{file.stat().st_size / 1e6:.3f} MB" if file.is_file() else tr("missing")
        self.result.setText(f"{file.name}, {size}\n{checked_text(parity)}")

    def set_busy(self, busy: bool) -> None:
        """Whether this format is being exported."""
        self.busy.setVisible(busy)
        if busy:
            self.button.setText(tr("Cancel"))
            self.result.setText(tr("Writing it, and checking it in a fresh process..."))
            self.result.show()
        else:
            self.show_folder(self.folder)

    def _open(self) -> None:
        if self.folder is not None:
            QDesktopServices.openUrl(QUrl.fromLocalFile(str(self.folder)))


def checked_text(parity: dict[str, Any] | None) -> str:
    """What the check found, in words."""
    if parity is None:
        return tr("Not checked.")
    if not parity.get("ok"):
        return tr("The check failed: {problem}", problem=parity.get("problem") or tr("unknown"))
    when = time.strftime("%d %b %H:%M", time.localtime(parity.get("checked", 0)))
    if parity.get("tolerance") is None:
        return tr(
            "Tried {when} in a fresh process on {samples:,} test samples: accuracy {accuracy:.2%} where the student "
            "has {expected:.2%}; the same answer on {agreement:.2%}.",
            when=when,
            samples=parity["samples"],
            accuracy=parity["accuracy"],
            expected=parity["expected_accuracy"],
            agreement=parity["agreement"],
        )
    return tr(
        "Checked {when} in a fresh process on {samples:,} test samples: accuracy {accuracy:.2%}, "
        "agrees on {agreement:.2%}, largest difference {difference:.2g}.",
        when=when,
        samples=parity["samples"],
        accuracy=parity["accuracy"],
        agreement=parity["agreement"],
        difference=parity["max_difference"],
    )


def _read(path: Path) -> dict[str, Any] | None:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None
