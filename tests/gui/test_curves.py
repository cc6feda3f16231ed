"""The pyramid behind curves: no peak lost, no sample lost, cheap at any length; and smoothing."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from kdstudio.gui.monitor.curves import BASE, FACTOR, Pyramid, moving_average

LENGTHS = [1, 2, BASE - 1, BASE, BASE + 1, BASE * FACTOR, 1000, 70_001]
Fetch = Callable[[int, int], tuple[np.ndarray, np.ndarray]]


def filled(values: np.ndarray, pieces: int = 1) -> tuple[Pyramid, Fetch]:
    """A pyramid of samples at x = 0, 1, 2, ..., given in some pieces."""
    x = np.arange(len(values), dtype=float)
    pyramid = Pyramid()
    for part in np.array_split(np.arange(len(values)), pieces):
        pyramid.extend(x[part], values[part])
    return pyramid, lambda start, stop: (x[start:stop], values[start:stop])


def noise(count: int) -> np.ndarray:
    return np.random.default_rng(3).normal(size=count)


@pytest.mark.parametrize("count", LENGTHS)
@pytest.mark.parametrize("exact", [True, False])
def test_extremes_mean_and_ends_are_kept(count: int, exact: bool) -> None:
    values = noise(count)
    pyramid, fetch = filled(values)
    window = pyramid.window(0, count, 100, fetch if exact else None)
    assert np.nanmin(window.low) == values.min()
    assert np.nanmax(window.high) == values.max()
    assert window.x[0] == 0
    assert pyramid.count == count
    assert (pyramid.first, pyramid.last) == (0, count - 1)
    assert (np.diff(window.x) > 0).all()


@pytest.mark.parametrize("pieces", [1, 2, 7, 500])
def test_pieces_make_no_difference(pieces: int) -> None:
    values = noise(5000)
    whole, parts = filled(values)[0], filled(values, pieces)[0]
    for found, expected in zip(vars(parts.window(0, 5000, 200)).values(), vars(whole.window(0, 5000, 200)).values()):
        assert np.array_equal(found, expected)


@pytest.mark.parametrize("count", LENGTHS)
def test_rows_stay_about_as_many_as_asked_for(count: int) -> None:
    pyramid, fetch = filled(noise(count))
    for given in (fetch, None):
        assert len(pyramid.window(0, count, 120, given).x) <= 2 * 120 + BASE


def test_a_peak_of_one_sample_in_a_long_curve_is_seen() -> None:
    values = np.zeros(200_000)
    values[123_456] = 9.0
    pyramid, fetch = filled(values)
    x, y = pyramid.window(0, 200_000, 300, fetch).envelope()
    assert y.max() == 9
    assert abs(x[np.argmax(y)] - 123_456) < 200_000 / 100


def test_the_latest_sample_is_always_drawn() -> None:
    pyramid = Pyramid()
    for step in range(3000):
        pyramid.extend(np.array([float(step)]), np.array([float(step)]))
        if step % 7 == 0:
            assert pyramid.window(0, step, 50).high.max() == step


def test_zooming_in_ends_at_the_samples() -> None:
    values = noise(100_000)
    pyramid, fetch = filled(values)
    window = pyramid.window(50_000, 50_040, 300, fetch)
    x, y = window.envelope()
    assert window.exact
    assert x[0] <= 50_000 < 50_040 <= x[-1]
    assert len(x) <= 43
    assert np.array_equal(y, values[x.astype(int)])


def test_groups_stand_still_while_a_window_moves() -> None:
    values = noise(100_000)
    pyramid, fetch = filled(values)
    first, second = (pyramid.window(start, start + 50_000, 200, fetch) for start in (10_000, 10_400))
    common = np.intersect1d(first.x, second.x)
    assert len(common) > 0.9 * len(second.x)


def test_missing_values_leave_a_gap_but_no_hole_in_time() -> None:
    values = noise(1000)
    values[100:400] = np.nan
    values[500] = np.inf
    pyramid, fetch = filled(values)
    x, y = pyramid.window(0, 1000, 2000, fetch).envelope()
    assert np.isfinite(y).all()
    assert len(x) == 1000 - 300 - 1
    x, y = pyramid.window(0, 1000, 20).envelope()
    assert np.isfinite(y).all()
    assert y.max() == np.nanmax(np.where(np.isfinite(values), values, np.nan))


def test_nothing_but_missing_values_draws_nothing() -> None:
    pyramid, fetch = filled(np.full(300, np.nan))
    window = pyramid.window(0, 300, 50, fetch)
    assert all(len(axis) == 0 for axis in window.envelope())
    assert len(pyramid.smoothed(window, 0.9, 50, fetch)[0]) == 0


@pytest.mark.parametrize("smoothing", [0.6, 0.9, 0.95, 0.99])
@pytest.mark.parametrize("count", [2, 3, 50, 40_000])
def test_a_constant_stays_flat(smoothing: float, count: int) -> None:
    pyramid, fetch = filled(np.full(count, 7.25))
    _, y = pyramid.smoothed(pyramid.window(0, count, 400, fetch), smoothing, 400, fetch)
    assert np.allclose(y, 7.25, rtol=1e-12, atol=0)


def test_the_average_is_the_recursion_of_its_definition() -> None:
    rng = np.random.default_rng(1)
    x, values = np.cumsum(rng.uniform(0.2, 3, 60)), rng.normal(size=60)
    found = moving_average(x, values, 0.9, 100.0)
    total = weight = 0.0
    for place in range(60):
        decay = 0.9 ** (1000 * (x[place] - x[place - 1]) / 100.0) if place else 0.9
        total, weight = decay * total + (1 - decay) * values[place], decay * weight + (1 - decay)
        assert found[place] == pytest.approx(total / weight, rel=1e-9, abs=1e-9)


def test_more_smoothing_is_smoother() -> None:
    pyramid, fetch = filled(noise(20_000))
    window = pyramid.window(0, 20_000, 400, fetch)
    roughness = [np.abs(np.diff(pyramid.smoothed(window, s, 400, fetch)[1])).mean() for s in (0.6, 0.9, 0.97, 0.99)]
    assert roughness == sorted(roughness, reverse=True)


def test_zooming_in_does_not_change_the_smoothed_curve() -> None:
    values = np.exp(-np.arange(50_000) / 9000) + 0.05 * noise(50_000)
    pyramid, fetch = filled(values)
    whole = pyramid.smoothed(pyramid.window(0, 50_000, 500, fetch), 0.97, 500, fetch)
    part = pyramid.smoothed(pyramid.window(30_000, 31_000, 500, fetch), 0.97, 500, fetch)
    inside = np.interp(part[0], *whole)
    assert np.abs(part[1] - inside).max() < 0.01


@pytest.mark.parametrize("x", [-5.0, 0.0, 10.4, 777.0, 99_999.0, 2e6])
def test_the_nearest_sample(x: float) -> None:
    values = noise(100_000)
    pyramid, fetch = filled(values)
    number, place, value = pyramid.nearest(x, fetch) or (0, 0.0, 0.0)
    expected = int(np.clip(round(x), 0, 99_999))
    assert (number, place, value) == (expected, expected, values[expected])


def test_an_empty_pyramid() -> None:
    pyramid = Pyramid()
    assert pyramid.nearest(3.0, lambda start, stop: (np.empty(0), np.empty(0))) is None
    assert len(pyramid.window(0, 1, 50).x) == 0


def test_memory_is_a_small_part_of_the_samples() -> None:
    pyramid, _ = filled(np.zeros(1_000_000), pieces=50)
    held = sum(level._data.nbytes for level in pyramid._levels)
    assert held < 1_000_000 * 8
