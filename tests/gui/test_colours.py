"""Colours of curves under simulated colour blindness (Machado, Oliveira and Fernandes 2009, severity 1)."""

from __future__ import annotations

import itertools
import json

import numpy as np
import pytest

from kdstudio.project.shipped import resource

#: Linear RGB of what a person without one kind of cone sees.
SIGHT = {
    "all cones": np.eye(3),
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}
#: What is drawn side by side in one plot, and must be told apart by colour.
TOGETHER = (("teacher", "student"), ("curve1", "curve2", "curve3", "curve4", "total"), ("good", "bad"))
#: In CIELAB two colours are seen as different from about 2.3 on; lines of one pixel need more.
LEAST_DIFFERENCE, LEAST_CONTRAST = 10.0, 3.0
XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])


def linear(colour: str) -> np.ndarray:
    """(3) linear RGB, 0 to 1, of `#rrggbb`."""
    parts = np.array([int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)])
    return np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)


def lab(rgb: np.ndarray) -> np.ndarray:
    """(3) CIELAB of linear RGB."""
    ratio = XYZ @ np.clip(rgb, 0, 1) / XYZ.sum(axis=1)
    root = np.where(ratio > 0.008856, np.cbrt(ratio), 7.787 * ratio + 16 / 116)
    return np.array([116 * root[1] - 16, 500 * (root[0] - root[1]), 200 * (root[1] - root[2])])


@pytest.fixture(params=["dark", "light"])
def tokens(request: pytest.FixtureRequest) -> dict[str, str]:
    return json.loads(resource(f"themes/{request.param}.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("sight", SIGHT)
def test_curves_are_told_apart(tokens: dict[str, str], sight: str) -> None:
    for group in TOGETHER:
        seen = {name: lab(np.array(SIGHT[sight]) @ linear(tokens[name])) for name in group}
        for one, other in itertools.combinations(group, 2):
            difference = float(np.linalg.norm(seen[one] - seen[other]))
            assert difference >= LEAST_DIFFERENCE, f"{one} and {other}: {difference:.1f}"


def test_everything_stands_out_from_its_ground(tokens: dict[str, str]) -> None:
    """Contrast by WCAG 2: 4.5 for text, 3 for what is drawn."""
    ground = float(XYZ[1] @ linear(tokens["panel"]))

    def contrast(name: str) -> float:
        own = float(XYZ[1] @ linear(tokens[name]))
        return (max(own, ground) + 0.05) / (min(own, ground) + 0.05)

    for name in ("ink", "soft", "bad"):
        assert contrast(name) >= 4.5, f"{name}: {contrast(name):.2f}"
    for name in ("teacher", "student", "baseline", "total", *(f"curve{number}" for number in range(1, 5)), "warn"):
        assert contrast(name) >= LEAST_CONTRAST, f"{name}: {contrast(name):.2f}"
