"""The Export page: the scorecard of a finished student, and its artifacts, each checked in a fresh process."""

from __future__ import annotations

import json
import sys
from typing import Any

from PySide6.QtCore import QProcess, Qt, QUrl, Signal
from PySide6.QtGui import QDesktopServices
from PySide6.QtWidgets import (
    QComboBox,
    QFrame,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QStackedLayout,
    QVBoxLayout,
    QWidget,
)

from kdstudio.gui.widgets.empty import EmptyState
from kdstudio.project.runs.folder import RunFolder

FORMATS = {
    "onnx": "ONNX: runs anywhere, in onnxruntime and most engines",
    "torch-export": "torch.export (.pt2): runs in PyTorch without this program",
    "safetensors": "safetensors: weights and the spec that rebuilds the student",
}
NETWORKS = ("teacher", "student", "baseline")


class ExportPage(QWidget):
    """Exports in a process of its own, so the window neither waits nor imports the engine.

    Signals:
        failed: What, why and how to go on, of an export that did not pass.
    """

    failed = Signal(str, str, str)

    def __init__(self) -> None:
        super().__init__()
        self.run_folder: RunFolder | None = None
        self._process: QProcess | None = None
        self.title = QLabel()
        self.title.setObjectName("title")
        self.grid = QGridLayout()
        self.grid.setHorizontalSpacing(36)
        self.grid.setVerticalSpacing(10)
        card = QFrame()
        card.setObjectName("card")
        inner = QVBoxLayout(card)
        inner.setContentsMargins(20, 16, 20, 16)
        inner.addLayout(self.grid)
        self.format = QComboBox()
        self.format.setAccessibleName("Format")
        for name, text in FORMATS.items():
            self.format.addItem(text, name)
        self.button = QPushButton("Export and check")
        self.button.setObjectName("primary")
        self.button.clicked.connect(self.export)
        self.folder_button = QPushButton("Open folder")
        self.folder_button.clicked.connect(self._open_folder)
        self.result = QLabel()
        self.result.setWordWrap(True)
        self.result.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        row = QHBoxLayout()
        row.addWidget(self.format)
        row.addWidget(self.button)
        row.addWidget(self.folder_button)
        row.addStretch()
        page = QWidget()
        column = QVBoxLayout(page)
        column.setContentsMargins(24, 16, 24, 24)
        column.setSpacing(14)
        column.addWidget(self.title)
        column.addWidget(card)
        column.addLayout(row)
        column.addWidget(self.result)
        column.addStretch()
        self.stack = QStackedLayout(self)
        text = "Show a finished run; its scorecard and the ways to ship its student appear here."
        self.stack.addWidget(EmptyState("No finished student", text))
        self.stack.addWidget(page)

    def show_run(self, run: RunFolder | None) -> None:
        """Shows a run's student, or the empty state if it has none yet."""
        if run != self.run_folder:
            self.result.clear()
        self.run_folder = run
        scorecard = run.scorecard() if run is not None else None
        self.stack.setCurrentIndex(0 if run is None or scorecard is None else 1)
        if run is None or scorecard is None:
            return
        self.title.setText(f"Scorecard of {run.name}")
        self.folder_button.setEnabled((run.path / "exports").is_dir())
        while self.grid.count():
            item = self.grid.takeAt(0)
            label = item.widget() if item is not None else None
            if label is not None:
                label.deleteLater()
        for row, cells in enumerate(scorecard_rows(scorecard)):
            for column, cell in enumerate(cells):
                label = QLabel(cell)
                if row == 0 or column == 0:
                    label.setObjectName("soft" if column == 0 else "heading")
                side = Qt.AlignmentFlag.AlignLeft if column == 0 else Qt.AlignmentFlag.AlignRight
                self.grid.addWidget(label, row, column, side)
        self.grid.setColumnStretch(self.grid.columnCount(), 1)

    @property
    def busy(self) -> bool:
        """Whether an export is going on."""
        return self._process is not None

    def export(self) -> None:
        """Exports the shown run's student in the chosen format; pressed again, cancels."""
        if self._process is not None:
            self._process.kill()
            return
        if self.run_folder is None:
            return
        kind = self.format.currentData()
        process = QProcess(self)
        self._process = process
        process.finished.connect(self._finished)
        arguments = ["-m", "kdstudio", "export", str(self.run_folder.path), "--format", kind, "--force", "--json"]
        self.button.setText("Cancel")
        self.result.setText(f"Writing {kind} and checking it in a fresh process...")
        process.start(sys.executable, arguments)

    def _finished(self, code: int, status: QProcess.ExitStatus) -> None:
        process, self._process = self._process, None
        self.button.setText("Export and check")
        if process is None:
            return
        out = bytes(process.readAllStandardOutput().data()).decode("utf-8", "replace").strip()
        said = bytes(process.readAllStandardError().data()).decode("utf-8", "replace").strip()
        process.deleteLater()
        if status is QProcess.ExitStatus.CrashExit:
            self.result.setText("The export was cancelled; nothing was replaced.")
        elif code == 0 and out:
            answer = json.loads(out.splitlines()[-1])
            parity = answer["parity"]
            self.result.setText(
                f"{answer['file']}, {answer['bytes']:,} bytes, in {answer['folder']}\n"
                f"Checked in a fresh process on {parity['samples']} test samples: accuracy {parity['accuracy']:.2%}, "
                f"largest difference {parity['max_difference']:.2g} (allowed {parity['tolerance']:.2g})."
            )
            self.folder_button.setEnabled(True)
        else:
            self.result.setText("The export did not pass.")
            self.failed.emit("The export did not pass.", said.removeprefix("kdstudio: "), "")

    def shut_down(self) -> None:
        """Ends an export that is going on; the window is closing."""
        if self._process is not None:
            self._process.kill()
            self._process.waitForFinished(3000)

    def _open_folder(self) -> None:
        if self.run_folder is not None:
            QDesktopServices.openUrl(QUrl.fromLocalFile(str(self.run_folder.path / "exports")))


def scorecard_rows(scorecard: dict[str, Any]) -> list[list[str]]:
    """The scorecard as rows of text: a heading, then quality, fidelity, calibration, size and speed."""
    networks, split = scorecard["networks"], scorecard["reported_split"]
    shown = [name for name in NETWORKS if name in networks]

    def row(label: str, pick: Any) -> list[str]:
        cells = []
        for name in shown:
            try:
                cells.append(pick(networks[name]))
            except (KeyError, TypeError):
                cells.append("–")
        return [label, *cells]

    words = {"teacher": "Teacher", "student": "Student", "baseline": "Student alone"}
    return [
        [f"On {split} samples", *(words[name] for name in shown)],
        row("Accuracy", lambda n: f"{100 * n[split]['accuracy']:.2f} %"),
        row("Agrees with the teacher", lambda n: f"{100 * n[split]['fidelity']['agreement']:.2f} %"),
        row("Calibration error (ECE)", lambda n: f"{100 * n[split]['ece']:.2f} %"),
        row("Parameters", lambda n: f"{n['parameters']:,}"),
        row("FLOPs a sample", lambda n: f"{n['flops']:,}"),
        row("File", lambda n: f"{n['file_bytes'] / 1e6:.3f} MB"),
    ]
