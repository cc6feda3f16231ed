"""Brings files of older versions to today's form, one step a version, without touching the file itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from kdstudio.project.errors import InputError, Problem, SpecError

#: ``{from_version: function}``: each takes the plain data of that version and returns that of the next.
Steps = dict[int, Callable[[dict[str, Any]], dict[str, Any]]]


def _experiment_0_to_1(data: dict[str, Any]) -> dict[str, Any]:
    """Version 0 (before the first release) had one `alpha` and `temperature` in place of an objective."""
    if "objective" in data or not {"alpha", "temperature"} & data.keys():
        return data
    alpha = data.pop("alpha", 0.1)
    if isinstance(alpha, bool) or not isinstance(alpha, (int, float)) or not 0 <= alpha <= 1:
        raise SpecError([Problem("alpha", f"should be a number from 0 to 1 (it is {alpha!r})", "for example 0.1")])
    data["objective"] = [
        {"term": "hard", "weight": alpha},
        {"term": "soft", "weight": round(1 - alpha, 12), "temperature": data.pop("temperature", 4.0)},
    ]
    return data


EXPERIMENT_STEPS: Steps = {0: _experiment_0_to_1}
PROJECT_STEPS: Steps = {0: lambda data: data}


def migrate(data: Any, steps: Steps, latest: int, name: str) -> Any:
    """The data in today's version.

    Args:
        data: Plain YAML contents; anything but a mapping is an error.
        steps: The migrations.
        latest: Today's version.
        name: The file, for messages.

    Raises:
        InputError: Not a mapping, a version that is no number, or one newer than this program.
        SpecError: A field of an older version is wrong.
    """
    if not isinstance(data, dict):
        found = "empty" if data is None else f"a {type(data).__name__}"
        raise InputError(f"{name}: expected keys and values, found {found}", fix="see the sample projects for the form")
    data = dict(data)
    version = data.get("version", latest)
    if isinstance(version, bool) or not isinstance(version, int) or version < 0:
        raise InputError(f"{name}: version: {version!r} is not a version", fix=f"write version: {latest}")
    if version > latest:
        raise InputError(
            f"{name}: version: {version} is newer than this program understands ({latest})",
            fix="update KD Studio",
            kind="version",
        )
    while version < latest:
        try:
            data = steps[version](data)
        except SpecError as error:
            raise SpecError(error.problems, name) from None
        version += 1
    data["version"] = latest
    return data
