"""The soft-targets panel: samples, bars at any temperature, at any moment, in any room."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import QPoint, QSize, Qt
from PySide6.QtGui import QColor
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from kdstudio.gui.monitor.bars import chosen_rows, linear_ticks
from kdstudio.gui.monitor.soft_targets import SoftTargetsPanel
from kdstudio.gui.monitor.temperature import HIGH, LOW, NOTCHES, to_notch, to_temperature
from kdstudio.gui.theme import Theme
from kdstudio.project.runs.snapshots import entropy, soften
from tests.gui.moments import LEFT, LOW_PANEL, TALL_PANEL, Shown, click_tab, empty
from tests.gui.panels import draw
from tests.gui.snapshot_runs import Recipe, write_snapshot


@pytest.fixture
def shown(qtbot: QtBot, theme: Theme, tmp_path: Path) -> Shown:
    return Shown(qtbot, SoftTargetsPanel, theme, tmp_path, LOW_PANEL)


def bars_of(shown: Shown) -> tuple[np.ndarray | None, np.ndarray]:
    return shown.panel.sample.bars.teacher, shown.panel.sample.bars.student


# -- one sample ---------------------------------------------------------------------------------------------------


def test_it_says_what_will_appear(shown: Shown) -> None:
    assert empty(shown.panel)
    assert "appears here" in shown.panel.empty.words.text()
    assert not shown.panel.switch.switch.isVisible()
    assert not shown.panel.temperature.isVisible()


def test_bars_are_the_stored_logits_at_the_temperature_of_the_objective(shown: Shown) -> None:
    shown.open(Recipe(temperature=3.0))
    assert not empty(shown.panel)
    assert shown.panel.temperature.value == 3.0
    probes, snapshot = shown.moment.probes, shown.moment.snapshot
    teacher, student = bars_of(shown)
    np.testing.assert_allclose(teacher, soften(probes.teacher_logits[0], 3.0), atol=1e-6)
    np.testing.assert_allclose(student, soften(snapshot.student_logits[0], 3.0), atol=1e-6)
    assert shown.panel.sample.bars.label == 0


def test_temperature_by_slider_field_and_reset(shown: Shown) -> None:
    shown.open(Recipe(temperature=4.0))
    control, qtbot = shown.panel.temperature, shown.qtbot
    control.slider.setFocus()
    qtbot.keyClick(control.slider, Qt.Key.Key_PageUp)
    assert control.value > 4.0
    assert control.field.value() == pytest.approx(control.value, abs=0.006)
    probes = shown.moment.probes
    np.testing.assert_allclose(bars_of(shown)[0], soften(probes.teacher_logits[0], control.value), atol=1e-6)
    control.field.selectAll()
    qtbot.keyClicks(control.field, control.field.locale().toString(17.5, "f", 2))
    qtbot.keyClick(control.field, Qt.Key.Key_Return)
    assert control.value == 17.5
    assert abs(to_temperature(control.slider.value()) - 17.5) < 0.3
    np.testing.assert_allclose(bars_of(shown)[0], soften(probes.teacher_logits[0], 17.5), atol=1e-6)
    assert control.reset.text() == "T = 4"
    qtbot.mouseClick(control.reset, LEFT)
    assert control.value == 4.0
    assert not control.reset.isEnabled()
    assert control.slider.marks == [(to_notch(4.0), "T = 4 in the objective")]


def test_the_slider_is_logarithmic() -> None:
    assert (to_temperature(0), to_temperature(NOTCHES)) == (LOW, HIGH)
    assert to_temperature(NOTCHES // 2) == pytest.approx((LOW * HIGH) ** 0.5, rel=0.01)
    assert to_notch(0.05) == 0
    assert to_notch(900.0) == NOTCHES
    for notch in range(0, NOTCHES, 7):
        assert abs(to_notch(to_temperature(notch)) - notch) <= 1


def test_a_temperature_that_the_slider_cannot_show_is_kept(shown: Shown) -> None:
    shown.open(Recipe(temperature=200.0))
    assert shown.panel.temperature.value == 200.0
    assert shown.panel.temperature.slider.value() == NOTCHES
    np.testing.assert_allclose(bars_of(shown)[1].sum(), 1.0, atol=1e-5)


def test_samples_are_chosen_by_click_and_by_keys(shown: Shown) -> None:
    shown.open()
    strip, probes = shown.panel.sample.samples, shown.moment.probes
    shown.qtbot.mouseClick(strip.viewport(), LEFT, pos=strip.visualItemRect(strip.item(1)).center())
    assert strip.currentRow() == 1
    np.testing.assert_allclose(bars_of(shown)[0], soften(probes.teacher_logits[1], 4.0), atol=1e-6)
    along = Qt.Key.Key_Down if strip.upright else Qt.Key.Key_Right
    shown.qtbot.keyClick(strip, along)
    assert strip.currentRow() == 2
    assert shown.panel.sample.bars.label == int(probes.labels[2])
    assert f"Label <b>{probes.classes[int(probes.labels[2])]}" in shown.panel.sample.caption.text()


def test_thumbnails_tell_whether_the_student_is_right(shown: Shown) -> None:
    shown.open()
    strip = shown.panel.sample.samples
    for index in (0, 7):
        shown.go(index)
        said = shown.moment.snapshot.student_logits.argmax(axis=1)
        assert strip.right == (said == shown.moment.probes.labels).tolist()
    assert "the student is" in strip.item(0).data(Qt.ItemDataRole.AccessibleTextRole)
    words = shown.panel.sample._tell(0)
    assert "label class 0" in words
    assert "teacher: class" in words
    assert "student: class" in words


def test_samples_without_pictures_are_tiles_with_words(shown: Shown) -> None:
    shown.open(Recipe(pictures=False))
    strip = shown.panel.sample.samples
    assert strip.count() == 16
    assert strip.pictures == [None] * 16
    assert strip.item(3).text() == "class 3"
    assert not strip.grab().toImage().isNull()


@pytest.mark.parametrize("channels", [1, 2, 3])
def test_pictures_of_any_channels(channels: int) -> None:
    from kdstudio.gui.monitor.probe_strip import KEPT_PIXELS, picture

    image = np.zeros((300, 150, channels), np.uint8)
    image[..., 0] = 200
    found = picture(image)
    assert found.height() == KEPT_PIXELS
    pixel = found.pixelColor(5, 5)
    assert pixel.red() == 200
    assert pixel.green() == (200 if channels < 3 else 0)


def test_many_classes_show_the_largest_and_the_rest_as_a_sum(shown: Shown) -> None:
    shown.open(Recipe(classes=100, pool=400))
    rows = shown.panel.sample.bars.rows()
    assert 3 <= len(rows) < 40
    assert rows[-1].label == -1
    assert rows[-1].name == f"{100 - len(rows) + 1} others"
    assert sum(row.teacher for row in rows) == pytest.approx(1.0, abs=1e-5)
    assert sum(row.student for row in rows) == pytest.approx(1.0, abs=1e-5)
    teacher, student = bars_of(shown)
    largest = set(np.argsort(-(teacher + student))[: len(rows) - 1].tolist())
    assert {row.label for row in rows[:-1]} == largest
    shares = [row.teacher for row in rows[:-1]]
    assert shares == sorted(shares, reverse=True)


def test_rows_in_class_order_where_all_fit() -> None:
    names = ["a", "b", "c"]
    rows = chosen_rows(names, None, np.array([0.2, 0.7, 0.1]), 3)
    assert [row.name for row in rows] == names
    assert [row.teacher for row in rows] == [None] * 3


def test_ticks_of_linear_axes() -> None:
    assert [words for _, words in linear_ticks(1.0)] == ["0", "0.25", "0.5", "0.75", "1"]
    assert [words for _, words in linear_ticks(0.05)] == ["0", "0.01", "0.02", "0.03", "0.04", "0.05"]


def test_a_logarithmic_scale_shows_dark_knowledge(shown: Shown) -> None:
    shown.open(Recipe(temperature=1.0))
    bars = shown.panel.sample.bars
    assert bars.scale().low == 0.0
    faint = bars.teacher.argmin()
    before = float(bars.scale().place(bars.teacher[faint]))
    shown.qtbot.mouseClick(shown.panel.logarithmic, LEFT, pos=QPoint(8, shown.panel.logarithmic.height() // 2))
    assert bars.logarithmic
    assert float(bars.scale().place(bars.teacher[faint])) > before
    assert bars.scale().low <= float(bars.teacher[faint]) or bars.scale().low == 1e-6
    assert not shown.panel.grab().toImage().isNull()


# -- time -----------------------------------------------------------------------------------------------------------


def test_replay_moves_the_student_alone(shown: Shown) -> None:
    shown.open()
    divergences, agreements = [], []
    taught = shown.panel.state.data.teacher
    for index in range(len(shown.moment.infos)):
        shown.go(index)
        data = shown.panel.state.data
        assert data.teacher is taught  # not computed again while only time passes
        logits = shown.moment.snapshot.student_logits[0]
        np.testing.assert_allclose(bars_of(shown)[1], soften(logits, 4.0), atol=1e-6)
        divergences.append(data.divergence)
        agreements.append(data.agreement)
    assert divergences == sorted(divergences, reverse=True)
    assert agreements[-1] == 1.0
    assert agreements[0] < 0.5
    assert shown.panel.figures.text().startswith("Agreement 100.0 %")


def test_figures_are_those_of_the_pool(shown: Shown) -> None:
    shown.open()
    shown.go(3)
    data, probes, snapshot = shown.panel.state.data, shown.moment.probes, shown.moment.snapshot
    teacher, student = probes.pool_teacher_logits, snapshot.pool_student_logits
    p, q = soften(teacher, 4.0), soften(student, 4.0)
    assert data.divergence == pytest.approx(float((p * np.log(p / q)).sum(axis=1).mean()), rel=1e-4)
    assert data.agreement == pytest.approx(float((p.argmax(1) == q.argmax(1)).mean()))
    assert data.student.pool_entropy.mean() == pytest.approx(float(entropy(student, 4.0).mean()), rel=1e-5)
    assert f"KL {data.divergence:.3f}" in shown.panel.figures.text()


def test_a_live_run_grows_under_the_panel(shown: Shown) -> None:
    recipe = Recipe(snapshots=2)
    run = shown.open(recipe)
    from kdstudio.project.runs.snapshots import list_snapshots

    logits = shown.moment.probes.pool_teacher_logits
    write_snapshot(run, recipe, 3, logits, 1.0)
    shown.moment.take(list_snapshots(run))
    draw(shown.panel)
    assert shown.panel.state.data.snapshot.step == 200
    np.testing.assert_allclose(bars_of(shown)[1], soften(logits[0], 4.0), atol=1e-3)


# -- runs that lack something -------------------------------------------------------------------------------------


def test_a_run_without_a_teacher(shown: Shown) -> None:
    shown.open(Recipe(teacher=False))
    assert not empty(shown.panel)
    assert bars_of(shown)[0] is None
    assert not shown.panel.temperature.reset.isVisible()
    click_tab(shown, 1)
    maps = shown.panel.dark.maps
    assert maps["student"].isVisible()
    assert not maps["teacher"].isVisible()
    click_tab(shown, 2)
    assert not shown.panel.entropy.curves["teacher"].isVisible()
    assert shown.panel.figures.text().startswith("No teacher")
    assert {row[3] for row in shown.panel.table()[1:]} == {"student"}


def test_a_damaged_snapshot_is_told_and_the_one_before_shown(shown: Shown) -> None:
    shown.open(Recipe(broken=(8,)))
    assert not empty(shown.panel)
    assert "damaged" in shown.panel.figures.text()
    assert "step 600" in shown.panel.figures.text()
    shown.go(2)
    assert "damaged" not in shown.panel.figures.text()


def test_a_run_with_nothing_readable(shown: Shown) -> None:
    shown.open(Recipe(broken=tuple(range(1, 9))))
    assert empty(shown.panel)
    assert "cannot be read" in shown.panel.empty.words.text()
    run = shown.open()
    assert not empty(shown.panel)
    (run.snapshots_dir / "probes.safetensors").write_bytes(b"no probes")
    shown.open_run(run)
    assert empty(shown.panel)


def test_logits_that_are_not_finite(shown: Shown) -> None:
    recipe = Recipe(snapshots=1)
    run = shown.open(recipe)
    logits = np.full((200, 10), np.nan, np.float32)
    write_snapshot(run, recipe, 2, logits, 1.0)
    shown.open_run(run)
    for index in range(3):
        click_tab(shown, index)
        assert not shown.panel.grab().toImage().isNull()
    assert "student –" in shown.panel.figures.text()


def test_another_run_takes_the_panel_over(shown: Shown) -> None:
    shown.open(Recipe(classes=10))
    shown.panel.sample.samples.setCurrentRow(9)
    shown.open(Recipe(classes=3, probes=5, temperature=2.0))
    assert shown.panel.sample.samples.count() == 5
    assert shown.panel.temperature.value == 2.0
    assert len(bars_of(shown)[1]) == 3
    shown.moment.set_run(None)
    shown.panel.set_worker(None)
    assert empty(shown.panel)
    assert shown.panel.state.data is None


# -- room, colours, files -------------------------------------------------------------------------------------------


def test_a_tall_panel_shows_two_views(shown: Shown) -> None:
    shown.open()
    click_tab(shown, 2)
    shown.resize(*TALL_PANEL)
    shown.qtbot.waitUntil(lambda: shown.panel.switch.tall, timeout=20_000)
    assert shown.panel.sample.isVisible()
    assert shown.panel.entropy.isVisible()
    assert not shown.panel.dark.isVisible()
    assert not shown.panel.sample.samples.upright
    click_tab(shown, 1)
    assert shown.panel.dark.isVisible()
    shown.resize(*LOW_PANEL)
    shown.qtbot.waitUntil(lambda: not shown.panel.switch.tall, timeout=20_000)
    assert shown.panel.dark.isVisible()
    assert not shown.panel.sample.isVisible()
    click_tab(shown, 0)
    assert shown.panel.sample.isVisible()
    shown.qtbot.waitUntil(lambda: shown.panel.sample.samples.upright, timeout=20_000)


def test_nothing_is_wider_than_a_narrow_panel(shown: Shown) -> None:
    shown.open(Recipe(names=tuple(f"a rather long name of a class {index}" for index in range(10))))
    for index in range(3):
        click_tab(shown, index)
        QApplication.processEvents()
        assert shown.host.minimumSizeHint().width() <= LOW_PANEL[0]


def test_a_theme_switch_recolours_what_is_drawn(shown: Shown, theme: Theme) -> None:
    shown.open()
    theme.apply("dark")
    for index in range(3):
        click_tab(shown, index)
        QApplication.processEvents()
        dark = shown.panel.grab().toImage()
        theme.apply("light")
        QApplication.processEvents()
        light = shown.panel.grab().toImage()
        assert light.pixelColor(2, light.height() // 2) == QColor(theme.tokens.panel)
        assert dark.pixelColor(2, dark.height() // 2) != QColor(theme.tokens.panel)
        assert theme.tokens.teacher in shown.panel.sample.caption.text()
        theme.apply("dark")


def test_it_is_saved_as_pictures_and_as_a_table(shown: Shown, tmp_path: Path) -> None:
    shown.open()
    shown.go(3)
    for index in range(3):
        click_tab(shown, index)
        for kind in ("png", "svg"):
            path = tmp_path / f"{index}.{kind}"
            shown.panel.save(path, kind)
            assert path.stat().st_size > 1000
    shown.panel.save(tmp_path / "table.csv", "csv")
    with (tmp_path / "table.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["part"] for row in rows} == {"sample", "class mean", "pool"}
    assert {row["network"] for row in rows} == {"teacher", "student"}
    assert {row["step"] for row in rows} == {"300"}
    first = next(row for row in rows if row["part"] == "sample" and row["network"] == "student")
    expected = soften(shown.moment.snapshot.student_logits[0], 4.0)
    np.testing.assert_allclose([float(first[f"class {label}"]) for label in range(10)], expected, atol=1e-6)
    pool = [row for row in rows if row["part"] == "pool" and row["network"] == "teacher"]
    assert len(pool) == 200


def test_the_panel_keeps_its_size_while_it_is_replayed(shown: Shown) -> None:
    shown.open()
    size: QSize = shown.panel.size()
    for index in range(8):
        shown.go(index)
    assert shown.panel.size() == size
