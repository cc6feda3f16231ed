"""A new project: a template, a name, a folder."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import Qt
from PySide6.QtWidgets import (
    QDialog,
    QDialogButtonBox,
    QFileDialog,
    QFormLayout,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QListWidget,
    QListWidgetItem,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from kdstudio.gui.language import mark, tr
from kdstudio.project.errors import KDStudioError
from kdstudio.project.folder import Project, create_project, templates

#: What cannot be in the name of a folder, on one system or another.
SEPARATORS = frozenset('/\\:*?"<>|')
DATA = Qt.ItemDataRole.UserRole
EMPTY = mark("An empty project: you add the experiments.")


def template_texts() -> list[tuple[str, str, str]]:
    """(name, title, what it is for) of every template, the empty one last."""
    found = []
    for name, path in templates().items():
        try:
            file = Project.open(path).file
        except KDStudioError:
            continue
        notes = " ".join(file.notes.split())
        found.append((name, tr(file.name), tr(notes)))
    return [*found, ("empty", tr("Empty project"), tr(EMPTY))]


def projects_home() -> Path:
    """Where new projects go unless the person says otherwise."""
    documents = Path.home() / "Documents"
    return (documents if documents.is_dir() else Path.home()) / "KD Studio"


class NewProjectDialog(QDialog):
    """Asks for a template, a name and a place, and makes the project. `project` is it, once accepted."""

    def __init__(self, parent: QWidget | None = None, template: str = "") -> None:
        super().__init__(parent)
        self.project: Project | None = None
        self.setWindowTitle(tr("New project"))
        self.resize(620, 580)
        self.list = QListWidget()
        self.list.setAccessibleName(tr("Template"))
        self.list.setWordWrap(True)
        self.list.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        for name, title, text in template_texts():
            item = QListWidgetItem(f"{title}\n{text}")
            item.setData(DATA, name)
            self.list.addItem(item)
        self.name = QLineEdit()
        self.name.setAccessibleName(tr("Name"))
        self.folder = QLineEdit(str(projects_home()))
        self.folder.setAccessibleName(tr("Folder"))
        browse = QPushButton(tr("Browse..."))
        browse.setAutoDefault(False)  # Enter in a line makes the project
        browse.clicked.connect(self._browse)
        place = QHBoxLayout()
        place.setSpacing(8)
        place.addWidget(self.folder, 1)
        place.addWidget(browse)
        form = QFormLayout()
        form.setHorizontalSpacing(16)
        form.setVerticalSpacing(8)
        form.addRow(tr("Name"), self.name)
        form.addRow(tr("In the folder"), place)
        self.path = QLabel()
        self.path.setObjectName("soft")
        self.path.setWordWrap(True)
        self.problem = QLabel()
        self.problem.setObjectName("error")
        self.problem.setWordWrap(True)
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Cancel)
        self.make = QPushButton(tr("Make project"))
        self.make.setObjectName("primary")
        self.make.setDefault(True)
        self.make.clicked.connect(self._make)
        buttons.addButton(self.make, QDialogButtonBox.ButtonRole.ActionRole)
        buttons.button(QDialogButtonBox.StandardButton.Cancel).setAutoDefault(False)
        buttons.rejected.connect(self.reject)
        layout = QVBoxLayout(self)
        layout.setSpacing(12)
        heading = QLabel(tr("Start from"))
        heading.setObjectName("heading")
        layout.addWidget(heading)
        layout.addWidget(self.list, 1)
        layout.addLayout(form)
        layout.addWidget(self.path)
        layout.addWidget(self.problem)
        layout.addWidget(buttons)
        self.list.currentItemChanged.connect(self._template_chosen)
        self.name.textChanged.connect(self._check)
        self.folder.textChanged.connect(self._check)
        names = [self.list.item(row).data(DATA) for row in range(self.list.count())]
        self.list.setCurrentRow(names.index(template) if template in names else 0)

    @property
    def target(self) -> Path:
        return Path(self.folder.text()).expanduser() / self.name.text().strip()

    def _template_chosen(self) -> None:
        item = self.list.currentItem()
        if item is None:
            return
        base = "my-project" if item.data(DATA) == "empty" else str(item.data(DATA))
        name, number = base, 2
        while (Path(self.folder.text()).expanduser() / name).exists():
            name, number = f"{base}-{number}", number + 1
        self.name.setText(name)
        self._check()

    def _browse(self) -> None:
        folder = QFileDialog.getExistingDirectory(self, tr("Folder for the new project"), self.folder.text())
        if folder:
            self.folder.setText(folder)

    def _check(self) -> None:
        problem = ""
        name = self.name.text().strip()
        if not name:
            problem = tr("Give the project a name.")
        elif name.startswith(".") or SEPARATORS & set(name):
            problem = tr('The name is that of a folder: without / \\ : * ? " < > | and with no dot at its beginning.')
        elif self.target.exists() and any(self.target.iterdir() if self.target.is_dir() else [self.target]):
            problem = tr("This folder exists and is not empty; choose another name.")
        self.problem.setText(problem)
        self.problem.setVisible(bool(problem))
        self.path.setText(tr("It will lie in {folder}", folder=self.target))
        self.path.setVisible(not problem)
        self.make.setEnabled(not problem)

    def _make(self) -> None:
        item = self.list.currentItem()
        if item is None:
            return
        try:
            self.target.parent.mkdir(parents=True, exist_ok=True)
            self.project = create_project(self.target, item.data(DATA))
        except (KDStudioError, OSError) as error:
            self.problem.setText(str(error))
            self.problem.show()
            return
        self.accept()
