"""The welcome page: open a sample, make a project, go on with a recent one."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import QSize, Qt, Signal
from PySide6.QtGui import QAction, QShowEvent
from PySide6.QtWidgets import (
    QFrame,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QScrollArea,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

from kdstudio.gui.dialogs.new_project import template_texts
from kdstudio.gui.icons import icon
from kdstudio.gui.language import tr, trn
from kdstudio.gui.theme import Theme
from kdstudio.gui.welcome.going import GoingRuns

WIDTH = 860
#: So many samples are told of on the page, the others when one points at them.
SPOKEN = 2


class WelcomePage(QScrollArea):
    """What is shown while no project is open. A newcomer is offered the tour first.

    Signals:
        sample_chosen: The name of a template.
        recent_chosen: A project folder.
    """

    sample_chosen = Signal(str)
    recent_chosen = Signal(object)

    def __init__(self, theme: Theme, actions: dict[str, QAction], newcomer: bool = False) -> None:
        super().__init__()
        self.theme = theme
        self.setWidgetResizable(True)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.logo = QLabel()
        name = QLabel("KD Studio")
        name.setObjectName("figure")
        claim = QLabel(
            tr(
                "Knowledge distillation, point and click: pick a teacher, a student and data, press Run, watch the "
                "student learn, and leave with a small model that was measured and checked."
            )
        )
        claim.setWordWrap(True)
        claim.setObjectName("soft")
        self.samples: dict[str, QPushButton] = {}
        self.recent: list[QPushButton] = []
        self._recent_texts: dict[Path, str] = {}
        self._going = GoingRuns(self)
        self._going.found.connect(self._tell_going)
        samples_card, samples = self._card(tr("Start with a sample"))
        offered = [template for template in template_texts() if template[0] != "empty"]
        for key, title, text in offered[:SPOKEN]:
            button = self._sample(key, title, text)
            samples.addLayout(self._with_words(button, text))
        published = QLabel(tr("Published settings"))
        published.setObjectName("heading")
        samples.addWidget(published)
        for key, title, text in offered[SPOKEN:]:
            button = self._sample(key, title, text)
            button.setToolTip(text)
            samples.addWidget(button)
        own_card, own = self._card(tr("Your own"))
        offers = [
            ("new", tr("From a sample or empty, in a folder of yours.")),
            ("images", tr("From a folder that has a sub-folder of images for each class.")),
            ("texts", tr("From a table of texts with labels, words with tags, or a plain text.")),
            ("open", tr("Or drop its folder on this window.")),
            ("tour", tr("Five steps through the window, with the sample project.")),
            ("glossary", tr("The words of distillation in a sentence each.")),
        ]
        if newcomer:
            offers.sort(key=lambda offer: offer[0] != "tour")
        for action, words in offers:
            own.addLayout(self._offer(actions[action], words))
        own.addStretch()
        self._recent_card, self._recent = self._card(tr("Recent projects"))
        left, right = QVBoxLayout(), QVBoxLayout()
        left.setSpacing(12)
        right.setSpacing(12)
        left.addWidget(samples_card)
        left.addStretch()
        right.addWidget(own_card)
        right.addWidget(self._recent_card)
        right.addStretch()
        columns = QHBoxLayout()
        columns.setSpacing(12)
        columns.addLayout(left, 1)
        columns.addLayout(right, 1)
        head = QHBoxLayout()
        head.setSpacing(16)
        head.addWidget(self.logo, 0, Qt.AlignmentFlag.AlignTop)
        texts = QVBoxLayout()
        texts.setSpacing(4)
        texts.addWidget(name)
        texts.addWidget(claim)
        head.addLayout(texts, 1)
        inner = QWidget()
        inner.setMaximumWidth(WIDTH)
        column = QVBoxLayout(inner)
        column.setContentsMargins(24, 40, 24, 24)
        column.setSpacing(24)
        column.addLayout(head)
        column.addLayout(columns)
        column.addStretch()
        outer = QWidget()
        row = QHBoxLayout(outer)
        row.setContentsMargins(0, 0, 0, 0)
        row.addStretch(1)
        row.addWidget(inner, 100)
        row.addStretch(1)
        self.setWidget(outer)
        theme.changed.connect(self.recolour)
        self.recolour()

    @staticmethod
    def _card(title: str) -> tuple[QFrame, QVBoxLayout]:
        card = QFrame()
        card.setObjectName("card")
        layout = QVBoxLayout(card)
        layout.setContentsMargins(16, 12, 16, 16)
        layout.setSpacing(12)
        heading = QLabel(title)
        heading.setObjectName("heading")
        layout.addWidget(heading)
        return card, layout

    def _sample(self, key: str, title: str, text: str) -> QPushButton:
        button = QPushButton(title)
        button.setAccessibleDescription(text)
        button.setToolTip(tr("Makes a copy in a folder of yours and opens it"))
        button.clicked.connect(lambda: self.sample_chosen.emit(key))
        if not self.samples:
            button.setObjectName("primary")
        self.samples[key] = button
        return button

    def _offer(self, action: QAction, text: str) -> QVBoxLayout:
        button = QPushButton(action.text().replace("&", ""))
        button.clicked.connect(action.trigger)
        return self._with_words(button, text)

    def _with_words(self, button: QPushButton, text: str) -> QVBoxLayout:
        button.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        words = QLabel(text)
        words.setObjectName("soft")
        words.setWordWrap(True)
        column = QVBoxLayout()
        column.setSpacing(4)
        column.addWidget(button)
        column.addWidget(words)
        return column

    def show_recent(self, paths: list[str]) -> None:
        """Lists the recent projects that are still there."""
        layout = self._recent
        for button in self.recent:
            layout.removeWidget(button)
            button.deleteLater()
        self.recent = []
        self._recent_texts = {}
        for path in [Path(text) for text in paths if (Path(text) / "project.yaml").exists()][:6]:
            self._recent_texts[path] = f"{path.name}   {shortened(path.parent)}"
            button = QPushButton(self._recent_texts[path])
            button.setObjectName("flat")
            button.setToolTip(str(path))
            button.clicked.connect(lambda checked=False, path=path: self.recent_chosen.emit(path))
            layout.addWidget(button, 0, Qt.AlignmentFlag.AlignLeft)
            self.recent.append(button)
        self._recent_card.setVisible(bool(self.recent))
        self._going.look(list(self._recent_texts))

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        self._going.look(list(self._recent_texts))

    def _tell_going(self, path: Path, count: int) -> None:
        """Says at a recent project that runs of it go on in the background."""
        for button in self.recent:
            if button.toolTip() == str(path):
                words = trn("{count} run going", "{count} runs going", count)
                button.setText(f"{self._recent_texts[path]}   ● {words}" if count else self._recent_texts[path])

    def recolour(self) -> None:
        """Takes over the colours of a theme that has just changed."""
        self.logo.setPixmap(icon("kdstudio", self.theme.tokens.accent).pixmap(QSize(48, 48)))


def shortened(path: Path, most: int = 42) -> str:
    """A path for people: the home folder as ~, the middle of a long one left out."""
    text = str(path)
    home = str(Path.home())
    if text.startswith(home):
        text = f"~{text[len(home) :]}"
    return text if len(text) <= most else f"{text[: most // 3]}…{text[-(2 * most // 3) :]}"
