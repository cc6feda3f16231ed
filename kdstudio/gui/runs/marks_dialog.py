"""A star, tags and a note on the shown run."""

from __future__ import annotations

from PySide6.QtWidgets import (
    QCheckBox,
    QDialog,
    QDialogButtonBox,
    QFormLayout,
    QLabel,
    QLineEdit,
    QPlainTextEdit,
    QVBoxLayout,
    QWidget,
)

from kdstudio.gui.language import tr
from kdstudio.project.errors import KDStudioError
from kdstudio.project.runs.folder import RunFolder
from kdstudio.project.runs.marks import Marks, read_marks, tags_of, write_marks


class MarksDialog(QDialog):
    """Writes the marks when it is accepted."""

    def __init__(self, run: RunFolder, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle(tr("Marks on {run}", run=run.name))
        self.resize(440, 280)
        self.run_folder = run
        marks = read_marks(run)
        self.star = QCheckBox(tr("A star"))
        self.star.setChecked(marks.star)
        self.tags = QLineEdit(" ".join(marks.tags))
        self.tags.setAccessibleName(tr("Tags"))
        self.tags.setPlaceholderText(tr("best baseline paper"))
        self.tags.setToolTip(tr("Words with blanks between; the Runs page filters by them"))
        self.note = QPlainTextEdit(marks.note)
        self.note.setObjectName("notes")
        self.note.setTabChangesFocus(True)
        self.note.setAccessibleName(tr("Note"))
        self.problem = QLabel()
        self.problem.setObjectName("error")
        self.problem.setWordWrap(True)
        self.problem.hide()
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Cancel)
        self.keep = buttons.addButton(tr("Keep"), QDialogButtonBox.ButtonRole.AcceptRole)
        self.keep.setObjectName("primary")
        buttons.accepted.connect(self._keep)
        buttons.rejected.connect(self.reject)
        form = QFormLayout()
        form.setHorizontalSpacing(12)
        form.setVerticalSpacing(8)
        form.addRow("", self.star)
        form.addRow(tr("Tags"), self.tags)
        form.addRow(tr("Note"), self.note)
        column = QVBoxLayout(self)
        column.setSpacing(12)
        column.addLayout(form)
        column.addWidget(self.problem)
        column.addWidget(buttons)

    def _keep(self) -> None:
        try:
            tags = tags_of(self.tags.text())
            write_marks(
                self.run_folder, Marks(star=self.star.isChecked(), tags=tags, note=self.note.toPlainText().strip())
            )
        except KDStudioError as error:
            self.problem.setText(f"{error.what}. {error.fix}" if error.fix else error.what)
            self.problem.show()
            return
        self.accept()
