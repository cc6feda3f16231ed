"""The table of a comparison of methods: means, spreads, and what is said against soft targets."""

from __future__ import annotations

import csv
import io

import pytest

from kdstudio.project.method_bench import Figures, Row, plan, rows_of
from kdstudio.project.method_tables import as_csv, as_html, as_json, as_markdown, not_better
from kdstudio.project.methods import ALL, BY_NAME, Networks
from kdstudio.project.paired import judged, quantile
from kdstudio.project.spec import Experiment, ModelSpec, validate


def _figures(
    method: str, test: list[float | None], validation: list[float] | None = None, step: float = 0.1
) -> Figures:
    seeds = list(range(len(test)))
    return Figures(
        method,
        seeds,
        validation or [0.5 if score is None else score for score in test],
        test,
        step_seconds=[step] * len(seeds),
    )


def _rows(*figures: Figures) -> dict[str, Row]:
    return {row.method: row for row in rows_of(figures)}


def test_mean_and_sample_deviation_over_seeds() -> None:
    row = _rows(_figures("soft", [0.5, 0.6, 0.7]))["soft"]
    assert row.test == (pytest.approx(0.6), pytest.approx(0.1))
    assert row.seeds == 3


@pytest.mark.parametrize("scores", [[0.9], [0.9, 0.91]])
def test_fewer_than_three_seeds_are_too_few(scores: list[float | None]) -> None:
    row = _rows(_figures("soft", [0.5, 0.5]), _figures("attention", scores))["attention"]
    assert row.verdict == "too few seeds"
    assert row.against is not None
    assert row.against[0] > 0.3


@pytest.mark.parametrize(
    ("scores", "verdict"),
    [
        ([0.60, 0.71, 0.80], "better"),
        ([0.40, 0.49, 0.60], "worse"),
        ([0.51, 0.65, 0.72], "no clear difference"),  # all above, but 0.06 on average with an interval of 0.20
        ([0.9, 0.9, 0.6], "no clear difference"),
        ([0.5, 0.6, 0.7], "no clear difference"),  # the very same
    ],
)
def test_better_or_worse_only_beyond_the_interval(scores: list[float | None], verdict: str) -> None:
    assert _rows(_figures("soft", [0.5, 0.6, 0.7]), _figures("attention", scores))["attention"].verdict == verdict


def test_the_interval_is_students() -> None:
    found = judged([0.01, 0.02, 0.06])
    assert found is not None
    assert found.interval == pytest.approx(4.303 * 0.0264575 / 3**0.5, rel=1e-4)
    assert quantile(30) == 2.042
    assert quantile(500) == 2.042
    assert judged([]) is None


def test_seeds_without_a_test_score_are_not_compared_with_others_tests() -> None:
    soft, own = _figures("soft", [0.5, 0.6, None, 0.8]), _figures("attention", [0.6, None, 0.9, 0.9])
    row = _rows(soft, own)["attention"]
    assert row.against == (pytest.approx(0.1), pytest.approx(0.0, abs=1e-9))  # of seeds 0 and 3
    assert row.verdict == "too few seeds"
    assert row.test == (pytest.approx(0.8), pytest.approx(0.03**0.5))
    nothing = _rows(soft, _figures("attention", [None] * 4))["attention"]
    assert nothing.against is None
    assert nothing.verdict == ""


def test_validation_is_compared_where_nothing_was_tested() -> None:
    rows = rows_of([_figures("soft", [None] * 3, [0.5] * 3), _figures("attention", [None] * 3, [0.6] * 3)])
    assert rows[0].against == (pytest.approx(0.1), pytest.approx(0.0, abs=1e-9))
    assert "the differences of validation accuracy" in as_markdown(rows, "")


def test_a_sentence_tells_what_did_not_beat_soft_targets() -> None:
    soft = _figures("soft", [0.5, 0.6, 0.7])
    others = [_figures("hard", [0.4, 0.5, 0.6]), _figures("attention", [0.6, 0.7, 0.8]), _figures("rkd", [0.5] * 2)]
    assert not_better(rows_of([soft])) == "No method has enough seeds yet to be judged against soft targets."
    assert not_better(rows_of([soft, *others])) == "All of the methods judged (1) beat soft targets."
    rows = rows_of([soft, *others, _figures("hint", [0.5, 0.6, 0.7])])
    sentence = "1 of the 2 methods judged did not beat soft targets: Hints, joint (FitNets)."
    assert not_better(rows) == sentence
    assert sentence in as_markdown(rows, "")
    assert sentence in as_html(rows, "")


def test_the_order_is_by_validation_whatever_the_test_says() -> None:
    found = rows_of([_figures("soft", [0.9, 0.9], [0.5, 0.5]), _figures("attention", [0.1, 0.1], [0.6, 0.6])])
    assert [row.method for row in found] == ["attention", "soft"]


def test_a_step_is_told_against_hard_labels() -> None:
    rows = _rows(_figures("hard", [0.5], step=0.1), _figures("soft", [0.5], step=0.15))
    assert rows["soft"].step_ratio == pytest.approx(1.5)


def test_every_form_tells_what_was_not_run() -> None:
    rows = rows_of([_figures("soft", [0.5, 0.6]), Figures("review", why_not="no layers of the two networks fit it")])
    for text in (as_markdown(rows, "a to b"), as_html(rows, "a to b"), as_csv(rows), as_json(rows, "a to b")):
        assert "no layers of the two networks fit it" in text
    assert len(list(csv.reader(io.StringIO(as_csv(rows))))) == 3


def test_mutual_learning_has_a_peer_like_the_student_and_is_not_in_all() -> None:
    assert "mutual" not in ALL
    assert len(ALL) == len(BY_NAME) - 1
    written = {"name": "a", "data": {"source": "digits"}, "objective": [{"term": "hard"}]}
    written |= {"teacher": {"model": "mlp", "widths": [9]}, "student": {"model": "mlp", "widths": [5]}}
    base = validate(Experiment, written)
    networks = Networks({}, {}, 1, base.student.model_dump(mode="json", include=set(ModelSpec.model_fields)))
    (planned,) = plan(base, {"mutual": BY_NAME["mutual"].recipe(networks)}, [3])
    assert planned.experiment is not None
    term = planned.experiment.model_dump()["objective"][1]
    assert term["peers"][0]["widths"] == [5]
    assert term["peers"][0]["seed"] != planned.experiment.train.seed == 3
