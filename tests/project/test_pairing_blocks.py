"""Which blocks of two transformers are paired."""

from __future__ import annotations

from typing import Any

import pytest

from kdstudio.project.pairing import at_blocks


def blocks(count: int) -> list[dict[str, Any]]:
    return [{"name": f"h.{number}", "output_shape": [8, 16]} for number in range(count)]


@pytest.mark.parametrize(
    ("teacher", "student", "expected"),
    [(12, 4, [2, 5, 8, 11]), (12, 6, [1, 3, 5, 7, 9, 11]), (3, 3, [0, 1, 2]), (2, 6, [0, 0, 0, 0, 1, 1])],
)
def test_the_map_is_uniform_and_no_block_wraps_around(teacher: int, student: int, expected: list[int]) -> None:
    found = at_blocks(blocks(teacher), blocks(student), "blocks")
    assert found == [(f"h.{one}", f"h.{number}") for number, one in enumerate(expected)]
