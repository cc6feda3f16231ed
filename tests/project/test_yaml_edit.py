"""An edit changes what it has to and no letter more: comments, order, quotes and layout stay."""

from __future__ import annotations

import copy
import random
import re
from pathlib import Path
from typing import Any

import pytest

from kdstudio.project.yaml_edit import align, same, with_written
from kdstudio.project.yaml_io import parse_yaml, update_yaml

EXAMPLE = """\
# Hinton's soft targets.
version: 1
name: "soft"   # quoted by hand

# What the student learns from
data: {source: digits, batch_size: 64}  # small
teacher:
  # big enough
  model: mlp
  widths: [256, 256]   # two of them
  train: {epochs: 60, lr: 0.003}

student: {model: 'mlp', widths: [32]}
objective:
  # the labels
  - {term: hard, weight: 0.1}  # a tenth
  # the teacher
  - {term: soft, weight: 0.9, temperature: 2}  # hot
  # the end of the list
train:
    epochs:   120     # four spaces, and wide gaps
    lr: 3e-3
notes: >
  folded text
  over two lines
# the end
"""


def edit(text: str, new: dict[str, Any], tmp_path: Path, full: dict[str, Any] | None = None) -> str:
    path = tmp_path / "a.yaml"
    path.write_bytes(text.encode())
    update_yaml(path, new, full)
    return path.read_bytes().decode()


def changed(text: str, tmp_path: Path, path: str, value: Any) -> str:
    """The text after one value was set (or taken away, for ...)."""
    data = parse_yaml(text)
    keys: list[Any] = [int(key) if key.isdigit() else key for key in path.split(".")]
    place = data
    for key in keys[:-1]:
        place = place[key]
    if value is ...:
        del place[keys[-1]]
    elif isinstance(place, list) and keys[-1] == len(place):
        place.append(value)
    else:
        place[keys[-1]] = value
    result = edit(text, data, tmp_path)
    assert same(parse_yaml(result), data)
    return result


def comments(text: str) -> list[str]:
    return re.findall(r"(?:^|\s)(#.*)$", text, re.MULTILINE)


def test_no_change_changes_nothing(tmp_path: Path) -> None:
    assert edit(EXAMPLE, parse_yaml(EXAMPLE), tmp_path) == EXAMPLE


@pytest.mark.parametrize(
    ("path", "value", "old", "new"),
    [
        ("data.batch_size", 32, "batch_size: 64}", "batch_size: 32}"),
        ("name", "hard", 'name: "soft"   # quoted', 'name: "hard"   # quoted'),
        ("name", 'a "b"', 'name: "soft"', r'name: "a \"b\""'),
        ("student.model", "cnn", "model: 'mlp'", "model: 'cnn'"),
        ("student.model", "it's", "model: 'mlp'", "model: 'it''s'"),
        ("teacher.model", "no", "model: mlp\n", "model: 'no'\n"),
        ("teacher.model", "1e-3", "model: mlp\n", "model: '1e-3'\n"),
        ("teacher.widths", [256, 128], "[256, 256]   # two", "[256, 128]   # two"),
        ("teacher.widths", [256], "[256, 256]   # two", "[256]   # two"),
        ("teacher.widths", [256, 256, 9], "[256, 256]   # two", "[256, 256, 9]   # two"),
        ("teacher.widths", [], "[256, 256]   # two", "[]   # two"),
        ("teacher.widths", None, "[256, 256]   # two", "null   # two"),
        ("teacher.train.lr", 0.1, "lr: 0.003}", "lr: 0.1}"),
        ("teacher.train.seed", 3, "lr: 0.003}", "lr: 0.003, seed: 3}"),
        ("teacher.train.epochs", ..., "{epochs: 60, lr", "{lr"),
        ("teacher.train.lr", ..., "60, lr: 0.003}", "60}"),
        ("train.epochs", 1, "epochs:   120     # four", "epochs:   1     # four"),
        ("train.epochs", ..., "train:\n    epochs:   120     # four spaces, and wide gaps\n    lr", "train:\n    lr"),
        ("train.lr", ..., "    lr: 3e-3\n", ""),
        ("train.seed", 3, "    lr: 3e-3\n", "    lr: 3e-3\n    seed: 3\n"),
        ("train", {}, "train:\n    epochs:   120     # four spaces, and wide gaps\n    lr: 3e-3\n", "train: {}\n"),
        ("train", ..., "train:\n    epochs:   120     # four spaces, and wide gaps\n    lr: 3e-3\n", ""),
        ("teacher", None, EXAMPLE[EXAMPLE.index("teacher:\n") : EXAMPLE.index("\nstudent")], "teacher: null\n"),
        ("objective.1.temperature", 4.5, "temperature: 2}", "temperature: 4.5}"),
        ("objective.1.temperature", 2.0, "", ""),
        ("objective.2", {"term": "hint"}, "# hot\n", "# hot\n  - {term: hint}\n"),
        ("objective.1", ..., "\n  - {term: soft, weight: 0.9, temperature: 2}  # hot", ""),
        ("objective.0", ..., "\n  - {term: hard, weight: 0.1}  # a tenth", ""),
        ("notes", "plain", "notes: >\n  folded text\n  over two lines\n", "notes: plain\n"),
        ("notes", "one\ntwo", "notes: >\n  folded text\n  over two lines\n", "notes: |-\n  one\n  two\n"),
        ("notes", ..., "notes: >\n  folded text\n  over two lines\n", ""),
        ("baseline", True, "over two lines\n", "over two lines\nbaseline: true\n"),
        ("version", ..., "version: 1\n", ""),
    ],
)
def test_one_change_changes_one_place(path: str, value: Any, old: str, new: str, tmp_path: Path) -> None:
    assert old in EXAMPLE
    assert changed(EXAMPLE, tmp_path, path, value) == EXAMPLE.replace(old, new, 1)


def test_new_keys_stand_where_they_belong(tmp_path: Path) -> None:
    """A key comes behind the one that is before it in the data, a part in one line if it is short."""
    data = parse_yaml(EXAMPLE)
    new = {"version": 1, "name": "soft", "tags": ["a", "b"], **{key: data[key] for key in list(data)[2:]}}
    new["monitor"] = {"probes": 4}
    text = edit(EXAMPLE, new, tmp_path)
    assert 'name: "soft"   # quoted by hand\ntags: [a, b]\n\n# What' in text
    assert "  over two lines\nmonitor: {probes: 4}\n# the end\n" in text
    assert comments(text) == comments(EXAMPLE)


def test_a_long_part_stands_in_lines_of_its_own(tmp_path: Path) -> None:
    teacher = {"model": "mlp", "widths": list(range(20)), "train": {"epochs": 60, "optimizer": "adamw", "lr": 0.003}}
    text = edit("name: a # x\nteacher: # none\n# end\n", {"name": "a", "teacher": teacher}, tmp_path)
    assert text == (
        "name: a # x\n"
        "teacher: # none\n"
        "  model: mlp\n"
        "  widths: [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19]\n"
        "  train: {epochs: 60, optimizer: adamw, lr: 0.003}\n"
        "# end\n"
    )


LIST = """\
objective:
  # one
  - {term: hard, weight: 0.1}  # end one

  # two
  - term: soft  # end two
    # hot
    temperature: 2
  # three
  - {term: hint}  # end three
  # last
# train
train: {epochs: 3}
"""


@pytest.mark.parametrize(
    ("kept", "gone"),
    [
        ([0, 1, 2], []),
        ([1, 2], ["# end one"]),
        ([0, 2], ["# end two", "# hot"]),
        ([0, 1], ["# end three"]),
        ([0], ["# end two", "# hot", "# end three"]),
        ([1], ["# end one", "# end three"]),
        ([2], ["# end one", "# end two", "# hot"]),
    ],
)
def test_items_go_with_their_own_comments_only(kept: list[int], gone: list[str], tmp_path: Path) -> None:
    data = parse_yaml(LIST)
    data["objective"] = [data["objective"][index] for index in kept]
    text = edit(LIST, data, tmp_path)
    assert same(parse_yaml(text), data)
    assert comments(text) == [comment for comment in comments(LIST) if comment not in gone]
    for index, comment in ((0, "weight: 0.1}  # end one"), (1, "term: soft  # end two"), (2, "hint}  # end three")):
        assert (comment in text) == (index in kept)


@pytest.mark.parametrize("place", [0, 1, 2, 3])
def test_an_item_comes_in_between(place: int, tmp_path: Path) -> None:
    data = parse_yaml(LIST)
    data["objective"].insert(place, {"term": "new", "pairs": [{"teacher": "a", "student": "b"}]})
    text = edit(LIST, data, tmp_path)
    assert same(parse_yaml(text), data)
    assert comments(text) == comments(LIST)
    for line in LIST.splitlines():
        assert line in text


def test_a_new_item_has_the_form_of_its_neighbours(tmp_path: Path) -> None:
    flow, block = "a:\n- {x: 1}\n", "a:\n  - x: 1\n    y: 2\n"
    assert edit(flow, {"a": [{"x": 1}, {"x": 5, "z": 6}]}, tmp_path) == "a:\n- {x: 1}\n- {x: 5, z: 6}\n"
    assert edit(block, {"a": [{"x": 1, "y": 2}, {"x": 5, "z": 6}]}, tmp_path) == (
        "a:\n  - x: 1\n    y: 2\n  - x: 5\n    z: 6\n"
    )


def test_items_change_places(tmp_path: Path) -> None:
    data = parse_yaml(LIST)
    data["objective"] = data["objective"][::-1]
    assert same(parse_yaml(edit(LIST, data, tmp_path)), data)


@pytest.mark.parametrize(
    ("text", "new", "result"),
    [
        # lists in lines of their own, with comments inside the brackets
        ("w: [\n  1,  # one\n  2,\n]\n", {"w": [1, 3]}, "w: [\n  1,  # one\n  3,\n]\n"),
        ("w: [\n  1,  # one\n  2,\n]\n", {"w": [1]}, "w: [\n  1,  # one\n]\n"),
        ("w: [\n  1,  # one\n  2,\n]\n", {"w": [2]}, "w: [\n  2,\n]\n"),
        ("w: [1, 2, 3]\n", {"w": [1, 3]}, "w: [1, 3]\n"),
        ("w: [1,2,3]\n", {"w": [0, 1, 2, 3]}, "w: [0,1,2,3]\n"),
        ("w: [ 1 ]\n", {"w": [1, 2]}, "w: [ 1, 2 ]\n"),
        ("w: []\n", {"w": [1]}, "w: [1]\n"),
        ("w: {}\n", {"w": {"a": 1}}, "w: {a: 1}\n"),
        ("w: {a: 1, b: 2, c: 3}\n", {"w": {"a": 1, "c": 3}}, "w: {a: 1, c: 3}\n"),
        ("w: {a: {b: [1, {c: 2}]}}\n", {"w": {"a": {"b": [1, {"c": 3}]}}}, "w: {a: {b: [1, {c: 3}]}}\n"),
        ("{a: 1, b: 2}\n", {"a": 1, "b": 3}, "{a: 1, b: 3}\n"),
        # dashes under the key, empty values and items, nested lists
        ("w:\n- 1\n- 2  # two\nx: 1\n", {"w": [1, 2, 3], "x": 1}, "w:\n- 1\n- 2  # two\n- 3\nx: 1\n"),
        ("w:\n- 1\n-\n- 3\n", {"w": [1, 2, 3]}, "w:\n- 1\n- 2\n- 3\n"),
        ("w:\n- - 1\n  - 2\n- - 3\n", {"w": [[1, 2, 5], [4]]}, "w:\n- - 1\n  - 2\n  - 5\n- - 4\n"),
        ("a:\nb: 1\n", {"a": 5, "b": 1}, "a: 5\nb: 1\n"),
        ("a:   # nothing\nb: 1\n", {"a": "x", "b": 1}, "a: x   # nothing\nb: 1\n"),
        # without a newline at the end; with those of Windows; with a mark of the byte order; with document marks
        ("a: 1\nb: 2", {"a": 1, "b": 2, "c": 3}, "a: 1\nb: 2\nc: 3"),
        ("a: 1  # x\r\nb: 2\r\n", {"a": 1, "b": 3, "c": 4}, "a: 1  # x\r\nb: 3\r\nc: 4\r\n"),
        ("\ufeffa: 1\n", {"a": 2}, "\ufeffa: 2\n"),
        ("---\n# top\na: 1\n...\n", {"a": 2}, "---\n# top\na: 2\n...\n"),
        # nothing but comments
        ("# to be filled\n", {"a": 1}, "# to be filled\na: 1\n"),
        ("", {"a": 1}, "a: 1\n"),
        # keys in quotes, text over lines, unicode
        ("'a b': 1\n\"c\": 2\n", {"a b": 5, "c": 2, "d: e": 3}, "'a b': 5\n\"c\": 2\n'd: e': 3\n"),
        ('a: "x\n  y"  # two\nb: 1\n', {"a": "x y", "b": 2}, 'a: "x\n  y"  # two\nb: 2\n'),
        ("a: größer # ü\nb: 🔥 # 温\n", {"a": "größer", "b": "kälter"}, "a: größer # ü\nb: kälter # 温\n"),
        ("a: |\n  one\n  two\n\n\n# x\nb: 1\n", {"a": "one\ntwo\n", "b": 2}, "a: |\n  one\n  two\n\n\n# x\nb: 2\n"),
        ("a: |  # c\n  one\nb: 1\n", {"a": "one\n", "b": 1, "c": 2}, "a: |  # c\n  one\nb: 1\nc: 2\n"),
        # numbers in the way someone wrote them
        (
            "a: 1e-3\nb: 0.10\nc: 1_000\n",
            {"a": 0.001, "b": 0.1, "c": 1000, "d": 1},
            "a: 1e-3\nb: 0.10\nc: 1_000\nd: 1\n",
        ),
        ("a: yes\nb: 1\n", {"a": True, "b": True}, "a: yes\nb: true\n"),
        ("a: true\n", {"a": 1}, "a: 1\n"),
        # anchors
        ("a: &x {b: 1}  # x\nc: *x  # y\n", {"a": {"b": 2}, "c": {"b": 2}}, "a: &x {b: 2}  # x\nc: *x  # y\n"),
        ("a: &x {b: 1}  # x\nc: *x  # y\n", {"a": {"b": 2}, "c": {"b": 1}}, "a: &x {b: 2}  # x\nc: {b: 1}  # y\n"),
        ("a: &x {b: 1}\nc: *x\n", {"a": {"b": 1}}, "a: &x {b: 1}\n"),
        ("a: &x {b: 1}\nc: *x\n", {"c": {"b": 1}}, "c: {b: 1}\n"),
        (
            "a: &x {b: 1}\nc: {<<: *x, d: 1} # y\n",
            {"a": {"b": 1}, "c": {"b": 1, "d": 2}},
            "a: &x {b: 1}\nc: {b: 1, d: 2} # y\n",
        ),
        (
            "a: &x {b: 1}\nc: {<<: *x, d: 1}\n",
            {"a": {"b": 2}, "c": {"b": 2, "d": 1}},
            "a: &x {b: 2}\nc: {b: 2, d: 1}\n",
        ),
        ("a: &x {b: 1}\nc: {<<: *x, d: 1}\n", {"a": {"b": 2}, "c": {"b": 1, "d": 1}}, "a: {b: 2}\nc: {b: 1, d: 1}\n"),
        ("a: &x 1\nb: *x\n", {"a": 2, "b": 1}, "a: 2\nb: 1\n"),
        ("? a\n: 1\n? b\n: 2\n", {"a": 1, "b": 3}, "? a\n: 1\n? b\n: 3\n"),
    ],
)
def test_forms_of_yaml(text: str, new: dict[str, Any], result: str, tmp_path: Path) -> None:
    assert edit(text, new, tmp_path) == result
    assert same(parse_yaml(result), new)


# -- defaults that someone wrote -----------------------------------------------------------------------------------


def test_a_default_that_stands_in_the_file_stays(tmp_path: Path) -> None:
    text = "a: 1\nb: 2  # usual\nc: {d: 3, e: 4}\nl:\n  - {t: x, w: 1.0}  # first\n  - {t: y}\n"
    full = {"a": 1, "b": 2, "c": {"d": 3, "e": 5}, "l": [{"t": "y", "w": 1.0}], "z": 0}
    lean = {"a": 1, "c": {"e": 5}, "l": [{"t": "y"}]}
    assert edit(text, lean, tmp_path, full) == "a: 1\nb: 2  # usual\nc: {d: 3, e: 5}\nl:\n  - {t: y}\n"
    assert edit(text, lean, tmp_path) == "a: 1\nc: {e: 5}\nl:\n  - {t: y}\n"


@pytest.mark.parametrize(
    ("old", "new", "full", "result"),
    [
        ({}, {"a": 1}, {"a": 1, "b": 2}, {"a": 1}),
        ({"b": 2}, {"a": 1}, {"a": 1, "b": 2}, {"a": 1, "b": 2}),
        ({"b": 9}, {"a": 1}, {"a": 1, "b": 2}, {"a": 1, "b": 2}),
        ({"x": 9}, {"a": 1}, {"a": 1}, {"a": 1}),
        ({"t": {"e": 1}}, {}, {"t": {"e": 1, "f": 2}}, {"t": {"e": 1}}),
        ({"t": None}, {"t": {"e": 1}}, {"t": {"e": 1, "f": 2}}, {"t": {"e": 1}}),
        ({"t": {"e": 1}}, {"t": None}, {"t": None}, {"t": None}),
        ({"args": {"a": 1}}, {}, {"args": {}}, {"args": {}}),
        (
            {"l": [{"a": 1}]},
            {"l": [{}, {"b": 2}]},
            {"l": [{"a": 1, "b": 0}, {"a": 1, "b": 2}]},
            {"l": [{"a": 1}, {"b": 2}]},
        ),
    ],
)
def test_with_written(old: Any, new: Any, full: Any, result: Any) -> None:
    before = copy.deepcopy((old, new, full))
    assert with_written(old, new, full) == result
    assert (old, new, full) == before


# -- the parts -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("old", "new", "pairs"),
    [
        ([], [1], {}),
        ([1, 2, 3], [1, 3], {0: 0, 1: 2}),
        ([1, 2, 3], [2, 3, 4], {0: 1, 1: 2}),
        ([1, 2], [1, 9], {0: 0, 1: 1}),
        ([{"t": "hard"}, {"t": "soft"}], [{"t": "soft", "w": 2}], {0: 1}),
        ([{"t": "hard"}, {"t": "soft"}], [{"t": "new"}, {"t": "hard"}, {"t": "soft"}], {1: 0, 2: 1}),
        ([{"t": "hard", "w": 1}, {"t": "soft", "w": 2}], [{"t": "hard", "w": 2}, {"t": "soft", "w": 1}], {0: 0, 1: 1}),
        ([1, {"a": 1}], [{"a": 2}], {0: 1}),
        ([True, 1], [1], {0: 1}),
    ],
)
def test_align(old: list[Any], new: list[Any], pairs: dict[int, int]) -> None:
    assert align(old, new) == pairs


def test_same() -> None:
    assert same({"a": [1, {"b": 2.0}]}, {"a": [1.0, {"b": 2}]})
    assert not same({"a": True}, {"a": 1})
    assert not same([0], [False])
    assert not same({"a": 1}, {"b": 1})
    assert not same([1], [1, 2])
    assert not same(None, 0)
    assert not same("1", 1)


# -- any edit of any file ------------------------------------------------------------------------------------------


WORDS = ["mlp", "no", "1e-3", "a: b", "it's", 'say "x"', "two\nlines", "", "温度", "12:30", "# x", "x #y", "{x}", "-"]


def _scalar(chance: random.Random) -> Any:
    return chance.choice([chance.choice(WORDS), chance.randint(-9, 99), chance.random(), True, False, None])


def _value(chance: random.Random, depth: int = 0) -> Any:
    kind = chance.random()
    if depth > 2 or kind < 0.5:
        return _scalar(chance)
    if kind < 0.75:
        return [_value(chance, depth + 1) for _ in range(chance.randint(0, 4))]
    return {f"k{key}": _value(chance, depth + 1) for key in chance.sample(range(8), chance.randint(0, 4))}


def _write(chance: random.Random, value: Any, indent: int, numbers: Any) -> str:
    """Text behind `key:` or `-`, in a random style, with numbered comments."""
    from kdstudio.project.yaml_text import flow_yaml, scalar_yaml

    note = f"  # c{next(numbers)}" if chance.random() < 0.5 else ""
    pad = " " * indent
    if isinstance(value, (dict, list)) and value and chance.random() < 0.6:
        lines = []
        for item in value:
            if chance.random() < 0.3:
                lines.append(f"{pad}# c{next(numbers)}")
            if chance.random() < 0.1:
                lines.append("")
            if isinstance(value, dict):
                lines.append(f"{pad}{item}:" + _write(chance, value[item], indent + chance.choice([2, 4]), numbers))
            else:
                lines.append(f"{pad}-" + _write(chance, item, indent + 2, numbers))
        return note + "\n" + "\n".join(lines)
    if isinstance(value, str) and "\n" not in value:
        return f" {scalar_yaml(value, chance.choice([None, chr(39), chr(34)]))}{note}"
    if value is None and chance.random() < 0.5:
        return note
    return f" {flow_yaml(value)}{note}"


def _mutate(chance: random.Random, value: Any) -> Any:
    """Changes, adds and removes at random places."""
    if isinstance(value, dict):
        found = {key: _mutate(chance, item) if chance.random() < 0.4 else item for key, item in value.items()}
        if found and chance.random() < 0.25:
            del found[chance.choice(list(found))]
        if chance.random() < 0.25:
            at = chance.randint(0, len(found))
            pairs = list(found.items())
            found = dict([*pairs[:at], (f"n{chance.randint(0, 99)}", _value(chance, 1)), *pairs[at:]])
        return found
    if isinstance(value, list):
        items = [_mutate(chance, item) if chance.random() < 0.4 else item for item in value]
        if items and chance.random() < 0.3:
            del items[chance.randrange(len(items))]
        if chance.random() < 0.3:
            items.insert(chance.randint(0, len(items)), _value(chance, 1))
        return items
    return _value(chance, 1) if chance.random() < 0.3 else _scalar(chance)


@pytest.mark.parametrize("batch", range(10))
def test_random_edits_of_random_files(batch: int, tmp_path: Path) -> None:
    """The file reads as the data afterwards, and was edited in place: the comments at both ends are still there."""
    for seed in range(30 * batch, 30 * batch + 30):
        _edit_at_random(seed, tmp_path)


def _edit_at_random(seed: int, tmp_path: Path) -> None:
    chance = random.Random(seed)
    numbers = iter(range(1000))
    data = {f"k{key}": _value(chance) for key in chance.sample(range(12), chance.randint(1, 6))}
    text = "# top\n" + _write(chance, data, 0, numbers).partition("\n")[2] + "\n# end\n"
    if text == "# top\n\n# end\n":  # it was written on one line
        text = f"# top\n{_write(random.Random(0), {'k': data}, 0, numbers).strip()}\n# end\n"
        data = {"k": data}
    assert same(parse_yaml(text), data), text
    assert edit(text, data, tmp_path) == text
    for _ in range(3):
        data = _mutate(chance, data) or {"k": 1}
        text = edit(text, data, tmp_path)
        assert same(parse_yaml(text), data), text
    assert text.startswith("# top\n")
    assert text.endswith("# end\n")


def test_adding_and_changing_loses_no_comment(tmp_path: Path) -> None:
    for seed in range(50):
        _add_at_random(seed, tmp_path)


def _add_at_random(seed: int, tmp_path: Path) -> None:
    chance = random.Random(seed)
    data = parse_yaml(EXAMPLE)
    for _ in range(4):
        place = chance.choice([data, data["data"], data["teacher"], data["teacher"]["train"], data["train"]])
        place[f"n{chance.randint(0, 9)}"] = chance.choice([1, "x", [1, 2], {"a": 1}])
        data["objective"].insert(chance.randint(0, len(data["objective"])), {"term": f"t{chance.random()}"})
        data["teacher"]["widths"] = [chance.randint(1, 9) for _ in range(chance.randint(1, 3))]
        data["objective"][chance.randrange(len(data["objective"]))]["weight"] = chance.random()
    text = edit(EXAMPLE, data, tmp_path)
    assert same(parse_yaml(text), data)
    assert sorted(comments(text)) == sorted(comments(EXAMPLE))
