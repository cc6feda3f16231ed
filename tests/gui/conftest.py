"""The window in tests: real widgets on a real (virtual) screen, and nothing of them left behind."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import shiboken6
from PySide6.QtCore import QEvent, QObject, QThread, QTimer
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from kdstudio.gui.app import make_application
from kdstudio.gui.garbage import collect_if_due
from kdstudio.gui.main_window import MainWindow
from kdstudio.gui.settings import Settings
from kdstudio.gui.setup.page import SetupPage
from kdstudio.gui.theme import Theme
from kdstudio.project.folder import Project, create_project
from kdstudio.project.runs.folder import RunFolder
from tests.gui.metric_runs import RunWriter, Story
from tests.gui.plotted import Plotted, curve
from tests.gui.quality_kit import Shown, evaluated
from tests.gui.setup_kit import SetupKit, SilentEngine, make_sample
from tests.gui.snapshot_runs import Recipe, make_run


@pytest.hookimpl(trylast=True)
def pytest_configure(config: pytest.Config) -> None:
    """After the screen in memory has been started, where there is one."""
    if config.getoption("numprocesses", None) and not hasattr(config, "workerinput"):
        return  # each of the other processes has a screen of its own, and would inherit what is set here
    if sys.platform.startswith("linux") and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.gui)


def _running() -> dict[int, QObject]:
    """Timers that are active and threads that run, by identity."""
    # By the type: isinstance asks each of a million objects for its __class__, which some answer slowly
    things = [thing for thing in gc.get_objects() if issubclass(type(thing), (QTimer, QThread))]
    return {
        id(thing): thing
        for thing in things
        if shiboken6.isValid(thing) and (thing.isActive() if isinstance(thing, QTimer) else thing.isRunning())
    }


@pytest.fixture(autouse=True)
def garbage_is_collected_in_this_thread() -> Iterator[None]:
    """As in the product: widgets of earlier tests must not be collected by a worker's thread."""
    gc.disable()
    yield
    collect_if_due()
    gc.enable()


@pytest.fixture(autouse=True)
def no_timer_or_thread_of_qt_is_left(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fails a test that leaves a running timer or thread of Qt's. Set up first, so it looks last."""
    before = set(_running())
    yield
    application = QApplication.instance()
    if isinstance(application, QApplication):
        for _ in range(3):
            application.sendPostedEvents(None, QEvent.Type.DeferredDelete.value)
            application.processEvents()
    left = [f"{thing!r} of {thing.parent()!r}" for key, thing in _running().items() if key not in before]
    assert not left, f"left running: {left}"


@pytest.fixture(autouse=True)
def engine_of_setup(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Setup asks nobody, and the test gives the answers, unless it is marked `engine`: that process loads torch."""
    if not request.node.get_closest_marker("engine"):
        monkeypatch.setattr("kdstudio.gui.setup.page.EngineClient", SilentEngine)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Settings in a file of the test's own."""
    return Settings(tmp_path / "window.json")


@pytest.fixture
def theme(qapp: QApplication, settings: Settings) -> Iterator[Theme]:
    """The theme in force; fonts and style sheet as in the product."""
    _, found = make_application(settings)
    yield found
    found.shut_down()


@pytest.fixture
def digits(tmp_path: Path) -> Project:
    """The sample project, short enough for a test: a few epochs, no timing of latency."""
    project = create_project(tmp_path / "digits", "digits")
    for path in project.experiment_files():
        text = path.read_text(encoding="utf-8")
        text = text.replace("epochs: 120", "epochs: 6").replace("epochs: 60", "epochs: 4")
        text = text.replace("until_epoch: 30", "until_epoch: 3").replace("from_epoch: 30", "from_epoch: 3")
        path.write_text(text + "monitor: {every_seconds: 0.2}\nevaluate: {latency: false}\n", encoding="utf-8")
    return project


@pytest.fixture
def make_window(qtbot: QtBot, settings: Settings, theme: Theme) -> Iterator[Callable[..., MainWindow]]:
    """Makes windows, and closes them at the end; a run that is still going is stopped then."""
    made: list[MainWindow] = []

    def make(project: Project | None = None, size: tuple[int, int] = (1280, 720)) -> MainWindow:
        window = MainWindow(settings, theme)
        made.append(window)
        window.resize(*size)
        window.show()
        qtbot.waitExposed(window)
        window.activateWindow()
        window.raise_()
        qtbot.waitUntil(window.isActiveWindow, timeout=20_000)  # shortcuts are for the active window
        if project is not None:
            assert window.open_project(project.root)
        return window

    yield make
    for window in made:
        if not shiboken6.isValid(window):
            continue
        if window.worker is not None and window.worker.isRunning():
            window.request("stop-now")
            worker = window.worker
            qtbot.waitUntil(lambda worker=worker: not worker.isRunning(), timeout=60_000)
        window.setup_page.close_experiment()
        window.close()
        window.deleteLater()
    QApplication.processEvents()


@pytest.fixture
def window(make_window: Callable[..., MainWindow], digits: Project) -> MainWindow:
    """The main window with the sample project open."""
    return make_window(digits)


@pytest.fixture
def sample(tmp_path: Path) -> Project:
    """A small project of the tests' own for the Setup page."""
    return make_sample(tmp_path / "sample")


@pytest.fixture
def setup(qtbot: QtBot, theme: Theme, sample: Project) -> Iterator[SetupKit]:
    """The Setup page with the experiment soft-targets, without an engine: the test gives its answers."""
    kit = SetupKit(qtbot, SetupPage(theme))
    kit.open(sample)
    yield kit
    kit.close()


@pytest.fixture
def student_run(tmp_path: Path) -> RunWriter:
    """A run of 120 steps in 6 epochs, which can go on."""
    writer = RunWriter(tmp_path / "runs" / "made" / "001", Story(per_epoch=20))
    writer.stage("student")
    return writer


@pytest.fixture
def make_plot(qtbot: QtBot, theme: Theme) -> Callable[[RunWriter], Plotted]:
    """Makes plots and keeps them: a widget that is collected while it is drawn takes the process with it."""
    kept: list[Plotted] = []

    def make(writer: RunWriter) -> Plotted:
        kept.append(Plotted(qtbot, theme, writer))
        return kept[-1]

    return make


@pytest.fixture
def plotted(make_plot: Callable[[RunWriter], Plotted], student_run: RunWriter) -> Plotted:
    """Losses of a student, training and validation."""
    found = make_plot(student_run)
    found.plot.set_curves([curve(smooth=True), curve("loss", "validation", label="validation", dots=True)])
    found.draw()
    return found


@pytest.fixture
def quality(qtbot: QtBot, theme: Theme) -> Shown:
    """The quality panel on the screen."""
    return Shown(qtbot, theme)


@pytest.fixture
def live_run(tmp_path: Path) -> RunFolder:
    """A run that is going on: snapshots and no scorecard yet."""
    return make_run(tmp_path / "runs" / "made" / "001", Recipe(phase="training"))


@pytest.fixture
def evaluated_run(tmp_path: Path) -> RunFolder:
    """A finished run with all stages, snapshots, a scorecard and its samples."""
    run = make_run(tmp_path / "runs" / "made" / "001", Recipe())
    writer = RunWriter(tmp_path / "other", Story())
    for stage in writer.story.stages:
        writer.stage(stage)
    run.metrics_path.write_bytes(writer.run.metrics_path.read_bytes())
    evaluated(run)
    return run
