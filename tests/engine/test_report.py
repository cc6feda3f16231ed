"""The HTML report: sound, self-contained, safe against names, with two classes and with hundreds."""

from __future__ import annotations

import base64
import io
import math
import re
import xml.etree.ElementTree
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from kdstudio.engine.evaluate import classification_metrics, fidelity
from kdstudio.engine.report import amount, percent, size_text, smooth, thin, write_report
from kdstudio.engine.scorecard import headline, plain
from kdstudio.engine.svg import line_plot, log_ticks, matrix, shorten, tick_texts, ticks, viridis
from kdstudio.project.folder import init_run
from kdstudio.project.runs.folder import RunFolder
from kdstudio.project.spec import Experiment
from tests.engine.conftest import Lab

VOID = {"meta", "link", "br", "img", "input", "hr"}
SHAPES = {"line", "rect", "circle", "polyline", "image"}
EVIL = "<script>alert('x')</script>"


class Page(HTMLParser):
    """Reads a page strictly: every element that opens closes, in order."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.counts: dict[str, int] = {}
        self.attributes: list[tuple[str, str, str]] = []
        self.words: list[str] = []
        self.feed(text)
        self.close()
        assert not self.open, f"never closed: {self.open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.counts[tag] = self.counts.get(tag, 0) + 1
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag not in VOID and (tag not in SHAPES or not self.get_starttag_text().endswith("/>")):  # type: ignore[union-attr]
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag, f"</{tag}> out of order"

    def handle_data(self, data: str) -> None:
        if not self.open or self.open[-1] != "style":
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


def check(text: str) -> Page:
    """A sound page that fetches nothing and runs nothing, with plots that are sound too."""
    page = Page(text)
    assert text.startswith("<!doctype html>")
    assert not {"script", "link", "iframe", "object", "img"} & page.counts.keys()
    for tag, name, value in page.attributes:
        assert name not in ("src", "onclick", "onload", "srcdoc")
        if name in ("href", "xlink:href"):
            assert tag == "image"
            assert value.startswith("data:image/png;base64,")
    assert not re.search(r"https?://|url\(|@import", text)
    for svg in re.findall(r"<svg.*?</svg>", text, re.S):
        xml.etree.ElementTree.fromstring(svg)
    assert "nan" not in re.sub(r"[^a-z ]", " ", text).split()
    return page


def make_card(
    classes: list[str], teacher: bool = True, baseline: bool = False, speed: bool = True, nan: bool = False
) -> dict[str, Any]:
    generator = torch.Generator().manual_seed(0)
    labels = torch.randint(0, len(classes), (60,), generator=generator)
    names = ["student", *(["teacher"] if teacher else []), *(["baseline"] if baseline else [])]
    logits = {name: torch.randn(60, len(classes), generator=generator) for name in names}
    if nan:
        logits["student"][3] = float("nan")
    entries: dict[str, Any] = {}
    for name in names:
        entries[name] = {"model": f"mlp of {name}", "parameters": 12345, "flops": 9, "file_bytes": 2_500_000}
        entries[name]["test"] = classification_metrics(logits[name], labels, classes)
        if teacher and name != "teacher":
            entries[name]["test"]["fidelity"] = fidelity(logits[name], logits["teacher"])
        if speed:
            figure = {"median": 1.5, "low": 1.25, "high": 1.75}
            entries[name]["speed"] = {"latency_ms": figure, "throughput": figure, "batch": 4, "repeats": 3}
    return plain(
        {
            "created": 0.0,
            "reported_split": "test",
            "classes": classes,
            "data": {"name": "made up"},
            "seed": 0,
            "networks": entries,
            "headline": headline(entries, "test"),
            "environment": {"kdstudio": "0", "torch": "0", "python": "0", "device": "cpu", "threads": 1},
        }
    )


def empty_run(root: Path, name: str = "one", notes: str = "") -> RunFolder:
    experiment = Experiment.model_validate(
        {"name": "x", "notes": notes, "student": {"model": "mlp"}, "objective": [{"term": "hard"}]}
    )
    return init_run(root / name / "001", experiment)


def report(run: RunFolder, card: dict[str, Any]) -> Page:
    write_report(run, card)
    return check(run.report_path.read_text(encoding="utf-8"))


def test_a_real_run(lab: Lab, hints: list[Any]) -> None:
    run = lab.run(objective=hints, baseline=True, monitor={"every_seconds": 0.05}, evaluate={"repeats": 3})
    page = check(run.report_path.read_text(encoding="utf-8"))
    card = run.scorecard()
    assert card is not None
    titles = ["Losses", "Validation accuracy", "Confusion of the student", "Student against teacher"]
    titles += ["Dark knowledge: teacher", "Dark knowledge: student", "Reliability", "Confidence", "Per class"]
    for title in titles:
        assert title in page.text
    assert page.counts["svg"] == 8
    for word in ("small/001", "sum", "hard", "soft", "hint", "Student alone", "270 samples", "quartiles of 3"):
        assert word in page.text
    assert percent(card["headline"]["score"]) in page.text
    for entry in card["networks"].values():
        assert percent(entry["test"]["accuracy"]) in page.text
        assert f"{entry['parameters']:,}" in page.text


def test_without_a_teacher(tmp_path: Path) -> None:
    page = report(empty_run(tmp_path), make_card(["a", "b"], teacher=False))
    assert "Student against teacher" not in page.text
    assert "12.3 k parameters" in page.text
    assert "2.5 MB file" in page.text


@pytest.mark.parametrize("count", [2, 5, 24, 25, 40, 41, 100])
def test_numbers_of_classes(tmp_path: Path, count: int) -> None:
    run = empty_run(tmp_path)
    page = report(run, make_card([f"class {index}" for index in range(count)], baseline=True))
    assert run.report_path.stat().st_size < 1_000_000
    assert page.text.count(f"class {count - 1}") >= 1
    assert ("Right class among the first five" in page.text) == (count > 5)
    assert ("image" in page.counts) == (count > 40)


def test_a_thousand_classes_stay_small(tmp_path: Path) -> None:
    run = empty_run(tmp_path)
    report(run, make_card([f"class {index}" for index in range(1000)], teacher=False))
    assert run.report_path.stat().st_size < 2_000_000


def test_names_are_text_and_never_code(tmp_path: Path) -> None:
    classes = [EVIL, "a & b", '"quoted"', "]]>", "日本語", "</svg><script>", "e" * 300]
    card = make_card(classes, baseline=True)
    card["data"] = {"name": EVIL, "problems": [EVIL]}
    card["networks"]["student"]["model"] = EVIL
    page = report(empty_run(tmp_path, "<b>run", f"</pre>{EVIL}"), card)
    assert page.text.count(EVIL) >= 5  # data and their problem, model, class and notes
    assert "b" in page.counts
    assert "<b>run/001" in page.text
    assert "日本語" in page.text


def test_terms_and_layers_in_legends_are_text() -> None:
    svg = line_plot([(EVIL, "var(--c1)", [0, 1], [1, 2])], "<x>", "<y>")
    assert "<script>" not in svg
    assert "&lt;script&gt;" in svg
    xml.etree.ElementTree.fromstring(svg.split("<div")[0])


def test_figures_that_are_not_known(tmp_path: Path) -> None:
    card = make_card(["a", "b", "c"], nan=True, speed=False)
    assert card["networks"]["student"]["test"]["ece"] is None
    page = report(empty_run(tmp_path), card)
    assert "the outputs for 1 of 60 samples are NaN or infinite" in page.text
    assert "Latency" not in page.text


def test_a_loss_against_the_baseline_is_said(tmp_path: Path) -> None:
    for gain, words in ((-0.05, "−5.00"), (0.0, "0.00"), (0.0123, "+1.23")):
        card = make_card(["a", "b"], baseline=True)
        card["headline"]["gain"] = gain
        page = report(empty_run(tmp_path, f"run{gain}"), card)
        assert f"{words} points against hard labels alone" in page.text
        assert ("Distillation did not help" in page.text) == (gain <= 0)


def test_slower_and_larger_students_are_said(tmp_path: Path) -> None:
    card = make_card(["a", "b"])
    card["headline"].update(smaller_by=-0.5, faster_by=-2.0)
    page = report(empty_run(tmp_path), card)
    assert "50.0 % more parameters" in page.text
    assert "200.0 % more time per sample" in page.text


def test_damaged_metrics_and_snapshots_do_not_stop_it(tmp_path: Path) -> None:
    run = empty_run(tmp_path)
    run.metrics_path.write_bytes(b'{"step": 1, "split": "train"\nrubbish\n\xff\xfe')
    (run.snapshots_dir / "000001.safetensors").write_bytes(b"rubbish")
    (run.snapshots_dir / "probes.safetensors").write_bytes(b"rubbish")
    assert "Losses" not in report(run, make_card(["a", "b"])).text


# -- the plots ---------------------------------------------------------------------------------------------------


def test_ticks() -> None:
    assert ticks(0, 10) == [0, 2, 4, 6, 8, 10]
    assert ticks(0.12, 0.57) == pytest.approx([0.2, 0.3, 0.4, 0.5])
    assert ticks(-4e-5, 4e-5) == pytest.approx([-4e-5, -2e-5, 0, 2e-5, 4e-5])
    assert ticks(5, 5) == [5]
    assert ticks(float("nan"), 5) == []
    for low, high in ((0, 1), (0.001, 0.0011), (-7, 123456), (1e-12, 1e12), (99.9, 100)):
        found = ticks(low, high)
        assert 2 <= len(found) <= 7
        assert all(low - 1e-9 * (high - low) <= value <= high + 1e-9 * (high - low) for value in found)


def test_log_ticks() -> None:
    assert log_ticks(0.09, 11) == pytest.approx([0.1, 0.2, 0.5, 1, 2, 5, 10])
    assert log_ticks(1e-6, 1e6) == pytest.approx([1e-6, 1e-4, 1e-2, 1, 1e2, 1e4, 1e6])
    assert len(log_ticks(1e-30, 1e30)) <= 8


def test_tick_texts_tell_ticks_apart() -> None:
    assert tick_texts([0.5, 1.0]) == ["0.5", "1"]
    assert tick_texts([0.99991, 0.99992]) == ["0.99991", "0.99992"]
    assert tick_texts([-1e-17, 1.0]) == ["0", "1"]
    assert tick_texts([]) == []


@pytest.mark.parametrize("log", [False, True])
@pytest.mark.parametrize(
    "values",
    [[1.0], [2.0, 2.0], [0.0, 0.0], [-1.0, 5.0], [1e-9, 1e9], [float("nan"), 3.0, float("inf")], [1e300, 1e301]],
)
def test_lines_stay_inside(values: list[float], log: bool) -> None:
    svg = line_plot([("x", "red", list(range(len(values))), values)], "step", "loss", log=log)
    for points in re.findall(r'points="([^"]*)"', svg):
        for point in points.split():
            x, y = map(float, point.split(","))
            assert 0 <= x <= 460
            assert 0 <= y <= 250
    for y in re.findall(r' y="([\d.-]+)"', svg):
        assert 0 <= float(y) <= 260


def test_no_data_no_plot() -> None:
    assert line_plot([], "x", "y") == ""
    assert line_plot([("a", "red", [1], [float("nan")])], "x", "y") == ""
    assert matrix([], [], counts=True) == ""


def test_epochs_have_whole_ticks() -> None:
    svg = line_plot([("a", "red", [1, 2, 3], [1, 2, 3])], "epoch", "y")
    below = re.findall(r'text-anchor="middle">([\d.]+)</text>', svg)
    assert below == ["1", "2", "3"]


def test_matrix_cells() -> None:
    svg = matrix([[3, 1], [0, 0]], ["a", "b"], counts=True)
    tree = xml.etree.ElementTree.fromstring(svg)
    cells = [item for item in tree.iter("rect") if item.find("title") is not None]
    assert [item.find("title").text for item in cells] == ["a → a: 3", "a → b: 1", "b → a: 0", "b → b: 0"]  # type: ignore[union-attr]
    assert [item.get("fill") for item in cells] == [viridis(0.75), viridis(0.25), viridis(0), viridis(0)]
    assert ">3</text>" in svg
    assert "100 %" in svg


def test_matrix_with_empty_rows() -> None:
    svg = matrix([[0.5, 0.25], [math.nan, math.nan]], ["a", "b"], counts=False)
    tree = xml.etree.ElementTree.fromstring(svg)
    assert len([item for item in tree.iter("rect") if item.find("title") is not None]) == 2
    xml.etree.ElementTree.fromstring(matrix([[math.nan] * 2] * 2, ["a", "b"], counts=False))


def test_a_large_matrix_is_one_exact_picture() -> None:
    table = np.eye(50)
    table[3] = np.nan
    svg = matrix(table.tolist(), [str(index) for index in range(50)], counts=False)
    data = re.search(r'href="data:image/png;base64,([^"]*)"', svg)
    assert data is not None
    pixels = np.asarray(Image.open(io.BytesIO(base64.b64decode(data[1]))))
    assert pixels.shape == (50, 50, 4)
    assert pixels[3, :, 3].tolist() == [0] * 50
    assert pixels[0, 0].tolist() == [253, 231, 37, 255]
    assert pixels[0, 1].tolist() == [68, 1, 84, 255]


def test_viridis_and_names() -> None:
    assert viridis(0) == "#440154"
    assert viridis(1) == "#fde725"
    assert shorten("short") == "short"
    assert shorten("a name that is far too long") == "a name that is…"
    assert len(shorten("x" * 50)) == 16


def test_texts_of_figures() -> None:
    assert percent(None) == "–"
    assert percent(0.12345) == "12.35 %"
    assert amount(999) == "999"
    assert amount(1_234_000) == "1.23 M"
    assert size_text(999) == "999 B"
    assert size_text(9_944) == "9.94 kB"


def test_smoothing_keeps_constants_and_passes_over_gaps() -> None:
    np.testing.assert_allclose(smooth(np.full(50, 3.0)), 3.0)
    values = np.array([np.nan, 1.0, np.nan, 1.0])
    found = smooth(values)
    assert np.isnan(found[0])
    np.testing.assert_allclose(found[1:], 1.0)
    reference, expected = np.arange(20.0), []
    for end in range(1, 21):
        weights = 0.97 ** np.arange(end - 1, -1, -1)
        expected.append((weights * reference[:end]).sum() / weights.sum())
    np.testing.assert_allclose(smooth(reference), expected)


def test_thinning_keeps_the_ends() -> None:
    steps = np.arange(10_000)
    found, values = thin(steps, steps * 2.0)
    assert len(found) <= 400
    assert found[0] == 0
    assert found[-1] == 9999
    np.testing.assert_array_equal(values, found * 2.0)
    np.testing.assert_array_equal(thin(steps[:5], steps[:5])[0], steps[:5])
