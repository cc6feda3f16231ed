"""The temperature report on logits whose answer is known in closed form."""

import math

import numpy as np
import pytest

from kdstudio.project.temperature_report import LOWEST, second_share, temperature_report


def test_two_classes_have_a_closed_form() -> None:
    logits = np.tile([6.0, 0.0], (200, 1))
    report = temperature_report(logits, share=0.1)
    assert report.found == pytest.approx(6 / math.log(9), abs=2e-3)
    assert report.second_shares[0] == pytest.approx(1 / (1 + math.exp(6)))
    assert list(report.entropies) == sorted(report.entropies)
    assert not report.thin


def test_a_share_that_no_temperature_gives_is_told_as_none() -> None:
    assert temperature_report(np.eye(10) * 5, share=0.3).found is None


def test_equal_logits_have_the_share_from_the_start_and_full_entropy() -> None:
    report = temperature_report(np.zeros((3, 4)), share=0.1)
    assert report.found == pytest.approx(LOWEST)
    assert report.entropies == pytest.approx([math.log(4)] * len(report.temperatures))
    assert report.thin


def test_the_second_share_is_of_the_second_largest_wherever_it_stands() -> None:
    logits = np.log([[0.1, 0.6, 0.3], [0.2, 0.1, 0.7]])
    assert second_share(logits, 1.0) == pytest.approx(0.25)
