"""Views of a panel, and the switch between them. Where there is room, the first view stays above the chosen one."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QSize, Qt, Signal
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QBoxLayout, QTabBar, QVBoxLayout, QWidget

from kdstudio.gui.language import tr
from kdstudio.gui.monitor.base import Panel
from kdstudio.gui.monitor.moment import Moment
from kdstudio.gui.theme import Theme

#: Heights of a panel from which on two views are shown, and down to which they stay.
TALL, TALL_STAYS = 620, 580


class View(QWidget):
    """One way to look at what a panel shows. It draws only when it is asked to, and only while it can be seen."""

    title = ""
    hint = ""
    #: Its share of the height where two views are shown.
    share = 1

    def __init__(self, theme: Theme) -> None:
        super().__init__()
        self.theme = theme
        self.setAccessibleName(tr(self.title))

    def clear(self) -> None:
        """Forgets a run."""

    def redraw(self) -> None:
        """Draws the shown moment."""
        raise TypeError("a view can be redrawn")

    def recolour(self) -> None:
        """Takes over the colours of a theme that has just changed."""
        raise TypeError("a view follows the theme")


class ViewStack(QWidget):
    """Views and a segmented switch between them.

    In a low panel the switch stands in the panel's head and one view is shown. In a tall one the first view is always
    shown, and the switch stands below it and chooses among the rest.

    Args:
        views: In their order on the switch.
        head: The row that takes the switch in a low panel, before its stretch.

    Signals:
        tall_changed: The panel has become tall, or low.
    """

    tall_changed = Signal(bool)

    def __init__(self, views: Sequence[View], head: QBoxLayout) -> None:
        super().__init__()
        self.views = list(views)
        self._head = head
        self.tall = False
        self._offered = list(views)
        self.switch = QTabBar()
        self.switch.setObjectName("segments")
        self.switch.setAccessibleName(tr("View"))
        self.switch.setDrawBase(False)
        self.switch.setExpanding(False)
        self.switch.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        for index, view in enumerate(self.views):
            self.switch.addTab(tr(view.title))
            self.switch.setTabToolTip(index, tr(view.hint))
        self.switch.currentChanged.connect(lambda _: self._arrange())
        self._column = QVBoxLayout(self)
        self._column.setContentsMargins(0, 0, 0, 0)
        self._column.setSpacing(6)
        head.insertWidget(1, self.switch)
        for view in self.views:
            self._column.addWidget(view, view.share)
        self._arrange()

    def choose(self, index: int) -> None:
        """Shows a view."""
        self.switch.setCurrentIndex(index)

    def shown(self) -> list[View]:
        """The views that are on the panel now."""
        chosen, first = self.views[max(0, self.switch.currentIndex())], self._offered[0]
        if chosen not in self._offered:
            chosen = first
        return [first, chosen] if self.tall and chosen is not first else [chosen]

    def offer(self, views: Sequence[View]) -> None:
        """Offers some of the views, in the order of all: those that suit the shown run."""
        if list(views) == self._offered:
            return
        self._offered = list(views)
        self._show_tabs()
        self._arrange()

    def _show_tabs(self) -> None:
        first = self._offered[0]
        several = len(self._offered) > 1
        chosen = self.views[max(0, self.switch.currentIndex())]  # Qt moves on from a tab that it hides
        for index, view in enumerate(self.views):
            self.switch.setTabVisible(index, view in self._offered and not (self.tall and several and view is first))
        self.switch.updateGeometry()
        if chosen not in self._offered or (self.tall and several and chosen is first):
            chosen = self._offered[int(self.tall and several)]
        self.switch.setCurrentIndex(self.views.index(chosen))

    def redraw(self) -> None:
        """Redraws what is shown."""
        for view in self.shown():
            view.redraw()

    def minimumSizeHint(self) -> QSize:
        """What one view needs: two of them must not keep a panel from being made low."""
        needed = super().minimumSizeHint()
        return QSize(needed.width(), max(view.minimumSizeHint().height() for view in self.shown()))

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        panel = self.parentWidget()
        while panel is not None and not isinstance(panel, Panel):
            panel = panel.parentWidget()
        # of the whole panel, and with two limits: what moves between head and body changes the heights within
        height = self.height() if panel is None else panel.height()
        tall = len(self._offered) > 1 and height >= (TALL_STAYS if self.tall else TALL)
        if tall != self.tall:
            self._set_tall(tall)

    def _set_tall(self, tall: bool) -> None:
        self.tall = tall
        if tall:
            self._column.insertWidget(1, self.switch)
        else:
            self._head.insertWidget(1, self.switch)
        self._show_tabs()
        self.tall_changed.emit(tall)
        self._arrange()

    def _arrange(self) -> None:
        shown = self.shown()
        for view in self.views:
            view.setVisible(view in shown)
        self.redraw()


class ViewPanel(Panel):
    """A panel of views at the shared moment. Its class calls `set_views` when it has made them.

    Args:
        name, title, empty, theme: See `Panel`.
        moment: The shared moment.
    """

    def __init__(self, name: str, title: str, empty: str, theme: Theme, moment: Moment) -> None:
        super().__init__(name, title, empty, theme)
        self.moment = moment
        self.views: list[View] = []
        self.switch: ViewStack
        moment.changed.connect(self.mark_stale)

    def set_views(self, views: Sequence[View]) -> None:
        """Puts the views onto the panel."""
        self.views = list(views)
        self.switch = ViewStack(self.views, self.head_row)
        layout = QVBoxLayout(self.body)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(6)
        layout.addWidget(self.switch, 1)
        self.show_empty(True)

    def show_empty(self, empty: bool) -> None:
        super().show_empty(empty)
        self.switch.switch.setVisible(not empty)
        self.switch.switch.updateGeometry()  # what a hidden bar needs is not asked again

    def clear(self) -> None:
        for view in self.views:
            view.clear()

    def recolour(self) -> None:
        for view in self.views:
            view.recolour()
