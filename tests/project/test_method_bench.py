"""The table of a comparison of methods: means, spreads, and what is said against soft targets."""

from __future__ import annotations

import csv
import io

import pytest

from kdstudio.project.method_bench import Figures, Row, as_csv, as_html, as_markdown, rows_of


def _figures(method: str, test: list[float], validation: list[float] | None = None, step: float = 0.1) -> Figures:
    seeds = list(range(len(test)))
    return Figures(method, seeds, validation or test, test, step_seconds=[step] * len(seeds))


def _rows(*figures: Figures) -> dict[str, Row]:
    return {row.method: row for row in rows_of(figures)}


def test_mean_and_sample_deviation_over_seeds() -> None:
    row = _rows(_figures("soft", [0.5, 0.6, 0.7]))["soft"]
    assert row.test == (pytest.approx(0.6), pytest.approx(0.1))
    assert row.seeds == 3


def test_one_seed_has_no_spread_and_no_verdict() -> None:
    rows = _rows(_figures("soft", [0.5]), _figures("attention", [0.9]))
    assert rows["attention"].test == (0.9, None)
    assert rows["attention"].verdict == ""


@pytest.mark.parametrize(
    ("scores", "verdict"),
    [([0.6, 0.7, 0.8], "better"), ([0.4, 0.5, 0.6], "worse"), ([0.9, 0.9, 0.6], "no clear difference")],
)
def test_better_or_worse_only_where_every_seed_says_so(scores: list[float], verdict: str) -> None:
    assert _rows(_figures("soft", [0.5, 0.6, 0.7]), _figures("attention", scores))["attention"].verdict == verdict


def test_the_order_is_by_validation_whatever_the_test_says() -> None:
    found = rows_of([_figures("soft", [0.9, 0.9], [0.5, 0.5]), _figures("attention", [0.1, 0.1], [0.6, 0.6])])
    assert [row.method for row in found] == ["attention", "soft"]


def test_a_step_is_told_against_hard_labels() -> None:
    rows = _rows(_figures("hard", [0.5], step=0.1), _figures("soft", [0.5], step=0.15))
    assert rows["soft"].step_ratio == pytest.approx(1.5)


def test_every_form_tells_what_was_not_run() -> None:
    rows = rows_of([_figures("soft", [0.5, 0.6]), Figures("review", why_not="no layers of the two networks fit it")])
    for text in (as_markdown(rows, "a to b"), as_html(rows, "a to b"), as_csv(rows)):
        assert "no layers of the two networks fit it" in text
    assert len(list(csv.reader(io.StringIO(as_csv(rows))))) == 3
