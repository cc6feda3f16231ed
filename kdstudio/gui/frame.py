"""The frame of the main window: menus, tool bar, tree, tabs, status strip. Built once, in one place."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QSize, Qt
from PySide6.QtGui import QAction, QActionGroup
from PySide6.QtWidgets import (
    QHBoxLayout,
    QLabel,
    QSizePolicy,
    QSplitter,
    QStackedWidget,
    QToolBar,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from kdstudio.gui.actions import SPECS, VIEW
from kdstudio.gui.icons import icon
from kdstudio.gui.language import tr
from kdstudio.gui.status_strip import StatusStrip
from kdstudio.gui.theme import Tokens

if TYPE_CHECKING:
    from kdstudio.gui.main_window import MainWindow

PAGES = ("setup", "monitor", "runs", "export")
LARGEST = QSize(1440, 900)
#: What a desktop draws around a window; it is known only once there is one.
DECORATION = QSize(16, 48)


def first_size(available: QSize) -> QSize:
    """The size of the first window on a screen with this much room."""
    return (available - DECORATION).boundedTo(LARGEST)


def build(window: MainWindow) -> None:
    """Builds all of it, and sets what `MainWindow` declares as built here."""
    _menus(window)
    _tool_bar(window)
    _body(window)


def _menus(window: MainWindow) -> None:
    menus = {}
    for spec in SPECS:
        if spec.menu not in menus:
            menus[spec.menu] = window.menuBar().addMenu(tr(spec.menu))
            menus[spec.menu].setToolTipsVisible(True)
        menu = menus[spec.menu]
        if spec.gap:
            menu.addSeparator()
        menu.addAction(window.actions_by_name[spec.name])
        if spec.name == "open":
            window.recent_menu = menu.addMenu(tr("Open &recent"))
        if spec.name == "palette":
            window.panels_menu = menu.addMenu(tr("&Panels"))
    del menus[VIEW]
    for prefix, checked in (("page-", ""), ("theme-", f"theme-{window.theme.choice}")):
        group = QActionGroup(window)
        for name, action in window.actions_by_name.items():
            if name.startswith(prefix):
                action.setCheckable(True)
                group.addAction(action)
        if checked:
            window.actions_by_name[checked].setChecked(True)

    spare = window.actions_by_name["spare-core"]
    spare.setCheckable(True)
    spare.setChecked(window.settings["spare_core"])


def _tool_bar(window: MainWindow) -> None:
    bar = QToolBar(tr("Run"))
    bar.setObjectName("toolbar")
    bar.setMovable(False)
    bar.setContextMenuPolicy(Qt.ContextMenuPolicy.PreventContextMenu)
    bar.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
    window.addToolBar(bar)
    for spec in SPECS:
        if spec.toolbar:
            bar.addAction(window.actions_by_name[spec.name])
            bar.widgetForAction(window.actions_by_name[spec.name]).setFocusPolicy(Qt.FocusPolicy.TabFocus)
    bar.widgetForAction(window.actions_by_name["run"]).setObjectName("primary")
    window.strip = StatusStrip(window.statusBar())
    filler = QWidget()
    filler.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Preferred)
    bar.addWidget(filler)
    bar.addWidget(window.strip.block)


def _body(window: MainWindow) -> None:
    tabs = QWidget()
    tabs.setObjectName("pages")
    row = QHBoxLayout(tabs)
    row.setContentsMargins(10, 8, 14, 0)
    row.setSpacing(4)
    for name in PAGES:
        button = QToolButton()
        button.setDefaultAction(window.actions_by_name[f"page-{name}"])
        button.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        row.addWidget(button)
    row.addStretch()
    window.run_label = QLabel()
    window.run_label.setObjectName("soft")
    window.run_label.setAccessibleName(tr("Shown run"))
    row.addWidget(window.run_label)
    holder = QWidget()
    inset = QHBoxLayout(holder)
    inset.setContentsMargins(10, 6, 10, 0)
    inset.addWidget(window.message)
    main = QWidget()
    column = QVBoxLayout(main)
    column.setContentsMargins(0, 0, 0, 0)
    column.setSpacing(0)
    column.addWidget(tabs)
    column.addWidget(window.pages, 1)
    side = QWidget()
    side.setObjectName("side")
    side_column = QVBoxLayout(side)
    side_column.setContentsMargins(8, 12, 8, 8)
    window.project_label = QLabel()
    window.project_label.setObjectName("heading")
    add = QToolButton()
    add.setDefaultAction(window.actions_by_name["new-experiment"])
    add.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonIconOnly)
    head = QHBoxLayout()
    head.addWidget(window.project_label, 1)
    head.addWidget(add)
    side_column.addLayout(head)
    side_column.addWidget(window.tree, 1)
    window.splitter = QSplitter()
    window.splitter.addWidget(side)
    window.splitter.addWidget(main)
    window.splitter.setSizes([230, 1050])
    window.splitter.setStretchFactor(1, 1)
    window.splitter.setCollapsible(1, False)
    window.body = QStackedWidget()
    window.body.addWidget(window.welcome)
    window.body.addWidget(window.splitter)
    whole = QWidget()
    whole_column = QVBoxLayout(whole)
    whole_column.setContentsMargins(0, 0, 0, 0)
    whole_column.setSpacing(0)
    whole_column.addWidget(holder)
    whole_column.addWidget(window.body, 1)
    window.setCentralWidget(whole)


def colour_icons(actions: dict[str, QAction], tokens: Tokens) -> None:
    """Icons in the colours of the theme in force."""
    for spec in SPECS:
        if spec.icon:
            ink = tokens.accent_ink if spec.name == "run" else tokens.soft
            actions[spec.name].setIcon(icon(spec.icon, ink, tokens.faint))
