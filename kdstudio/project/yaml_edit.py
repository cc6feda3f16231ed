"""Edits the text of a YAML file in place: only what changed changes; comments, order, quotes and layout stay.

The text is parsed into nodes that know where they stand. Each collection is put together again from the text of its
entries and the gaps between them (where the comments are), so that what nobody touched is copied letter by letter.
"""

from __future__ import annotations

import re
from itertools import pairwise
from typing import Any, NamedTuple

import yaml

from kdstudio.project.yaml_text import block_yaml, flow_yaml, scalar_yaml

#: The longest mapping or list that is put on one line.
LINE = 100
_ALIAS = "alias"
_MERGE = "tag:yaml.org,2002:merge"
_COLON = re.compile(r"[ \t]*:")
_DASH = re.compile(r"\n *-")
_ANCHOR = re.compile(r"(?:!\S*\s+)?&(\S+)")


class Entry(NamedTuple):
    """One entry of the new collection: the place of the entry it was before (None: it is new), and its text."""

    place: int | None
    text: str
    anew: bool = False


class CannotEdit(Exception):
    """The text has a form that is not edited in place."""


def edit_yaml(text: str, old: dict[Any, Any], new: dict[Any, Any]) -> str:
    """The text, changed so that it reads as `new`. The caller checks that it does.

    Args:
        text: A file whose top level is a mapping.
        old: What the text reads as.
        new: Plain data.

    Raises:
        CannotEdit: This text has to be written anew.
    """
    root: Any = _Composer(text).get_single_node()
    editor = _Editor(text)
    body = editor.value(root, old, new)
    if body is None:
        raise CannotEdit
    return text[: root.start_mark.index] + body + text[editor.end(root) :]


def same(first: Any, second: Any) -> bool:
    """Equality of plain data in which `true` is not 1; 1 and 1.0 are the same."""
    if isinstance(first, dict) and isinstance(second, dict):
        return first.keys() == second.keys() and all(same(first[key], second[key]) for key in first)
    if isinstance(first, list) and isinstance(second, list):
        return len(first) == len(second) and all(map(same, first, second))
    return isinstance(first, bool) == isinstance(second, bool) and bool(first == second)


def align(old: list[Any], new: list[Any]) -> dict[int, int]:
    """Which item of `old` each item of `new` was, in order, so that as much as possible stays what it was."""
    best = [[0.0] * (len(new) + 1) for _ in range(len(old) + 1)]
    for i in reversed(range(len(old))):
        for j in reversed(range(len(new))):
            pair = _likeness(old[i], new[j])
            best[i][j] = max(best[i + 1][j], best[i][j + 1], pair + best[i + 1][j + 1] if pair else 0.0)
    found: dict[int, int] = {}
    i = j = 0
    while i < len(old) and j < len(new):
        pair = _likeness(old[i], new[j])
        if pair and best[i][j] == pair + best[i + 1][j + 1]:
            found[j] = i
            i, j = i + 1, j + 1
        elif best[i][j] == best[i + 1][j]:
            i += 1
        else:
            j += 1
    return found


def _likeness(first: Any, second: Any) -> float:
    if same(first, second):
        return 4.0
    if isinstance(first, dict) and isinstance(second, dict):
        alike = sum(key in second and same(value, second[key]) for key, value in first.items())
        return 1.0 + 2.0 * alike / max(len(first), len(second), 1)
    containers = (dict, list)
    return 1.0 if isinstance(first, containers) == isinstance(second, containers) else 0.0


def with_written(old: Any, new: Any, full: Any) -> Any:
    """`new`, and what stands in the file although it is a default: someone wrote it there.

    A field that has become empty goes, though: nobody wrote null.

    Args:
        old: The file's contents.
        new: The contents to be, without defaults.
        full: The contents to be, with all defaults.
    """
    if isinstance(new, dict) and isinstance(full, dict):
        before = old if isinstance(old, dict) else {}
        found = {}
        for key in [*full, *(key for key in new if key not in full)]:
            if key in new:
                found[key] = with_written(before.get(key), new[key], full.get(key))
            elif key in before and (full[key] is not None or before[key] is None):
                found[key] = with_written(before[key], {} if isinstance(full[key], dict) else full[key], full[key])
        return found
    if isinstance(old, list) and isinstance(new, list) and isinstance(full, list) and len(new) == len(full):
        places = align(old, new)
        return [
            with_written(old[places[place]], new[place], full[place]) if place in places else new[place]
            for place in range(len(new))
        ]
    return new


class _Composer(yaml.SafeLoader):
    """Keeps aliases as nodes of their own, which know where they stand."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            event = self.get_event()
            return yaml.ScalarNode(_ALIAS, event.anchor, event.start_mark, event.end_mark)
        return super().compose_node(parent, index)


class _Gap(NamedTuple):
    """What stands between two entries of a block: the rest of the line, lines of comments, and what begins the next."""

    rest: str
    lines: str
    prefix: str


class _Editor:
    def __init__(self, text: str) -> None:
        self.text = text
        self.anchors: dict[str, Any] = {}  # what each anchor will read as

    def end(self, node: Any) -> int:
        """Where a node's text ends. A block takes the comment behind its last entry with it."""
        start, end = node.start_mark.index, node.end_mark.index
        if isinstance(node, yaml.CollectionNode) and not node.flow_style:
            last = node.value[-1]
            inner = self.end(last[1] if isinstance(last, tuple) else last)
            newline = self.text.find("\n", inner)
            return len(self.text) if newline < 0 else newline
        if getattr(node, "style", None) in ("|", ">"):  # its mark is behind the empty lines after it
            return start + len(self.text[start:end].rstrip())
        return end

    def value(self, node: Any, old: Any, new: Any) -> str | None:
        """The new text of a node, None where its entry has to be written anew."""
        start = node.start_mark.index
        own = self.text[start : self.end(node)]
        if node.tag == _ALIAS:
            known = node.value in self.anchors and same(self.anchors[node.value], new)
            return own if known else None
        anchor = _ANCHOR.match(own)
        if anchor:
            self.anchors[anchor[1]] = new
        if isinstance(node, yaml.MappingNode) and isinstance(old, dict) and isinstance(new, dict):
            return self._mapping(node, own, old, new)
        if isinstance(node, yaml.SequenceNode) and isinstance(old, list) and isinstance(new, list):
            return self._sequence(node, own, old, new)
        if same(old, new):
            return own
        if not own or (isinstance(new, str) and "\n" in new):
            return None
        plain = isinstance(node, yaml.ScalarNode) and own[0] not in "&!|>"
        return scalar_yaml(new, node.style) if plain and not isinstance(new, (dict, list)) else None

    def _mapping(self, node: Any, own: str, old: dict[Any, Any], new: dict[Any, Any]) -> str | None:
        if any(key.tag == _MERGE for key, _ in node.value):
            return own if same(old, new) else None
        if not old or not new:
            return own if old == new else None
        indent = node.value[0][0].start_mark.column
        spans = []
        entries: list[tuple[Any, Entry]] = []
        for place, (key, (key_node, value_node)) in enumerate(zip(old, node.value)):
            spans.append((key_node.start_mark.index, self.end(value_node)))
            if key in new:
                entry = self._entry(place, key_node, value_node, old[key], new[key], indent, node.flow_style)
                entries.append((key, entry))
        before: Any = None
        for key, value in new.items():
            if key not in old:
                text = scalar_yaml(key) + ":" + _after_colon(value, indent, node.flow_style)
                place = next((index + 1 for index, (name, _) in enumerate(entries) if name == before), 0)
                entries.insert(place, (key, Entry(None, text)))
            before = key
        return self._assemble(node, spans, [entry for _, entry in entries], " " * indent)

    def _entry(self, place: int, key: Any, value: Any, old: Any, new: Any, indent: int, flow: bool) -> Entry:
        start, end = key.start_mark.index, key.end_mark.index
        body = self.value(value, old, new)
        if body is not None:
            return Entry(place, self.text[start : value.start_mark.index] + body)
        colon = _COLON.match(self.text, end)
        if colon is None and not flow:
            raise CannotEdit
        name = self.text[start : colon.end()] if colon else self.text[start:end] + ":"
        return Entry(place, name + _after_colon(new, indent, flow), anew=True)

    def _sequence(self, node: Any, own: str, old: list[Any], new: list[Any]) -> str | None:
        if not old or not new:
            return own if old == new else None
        flow = node.flow_style
        spans: list[tuple[int, int]] = []
        for item in node.value:
            start = item.start_mark.index
            if not flow:  # a block's item begins at its dash, which may stand on a line above
                start = self._dash(spans[-1][1] if spans else node.start_mark.index, start, first=not spans)
            spans.append((start, self.end(item)))
        column = spans[0][0] - (self.text.rfind("\n", 0, spans[0][0]) + 1)
        in_blocks = any(isinstance(item, yaml.MappingNode) and not item.flow_style for item in node.value)
        places = align(old, new)
        entries: list[Entry] = []
        for position, value in enumerate(new):
            place = places.get(position)
            text = None
            if place is not None:
                item = node.value[place]
                body = self.value(item, old[place], value)
                text = None if body is None else self.text[spans[place][0] : item.start_mark.index] + body
            if text is None:
                text = flow_yaml(value) if flow else "- " + _item(value, column + 2, in_blocks)
                entries.append(Entry(place, text, anew=True))
            else:
                entries.append(Entry(place, text))
        return self._assemble(node, spans, entries, " " * column)

    def _dash(self, begin: int, end: int, first: bool) -> int:
        if first and self.text.startswith("-", begin):
            return begin
        found = _DASH.search(self.text, begin, end)
        if found is None:
            raise CannotEdit
        return found.end() - 1

    def _assemble(self, node: Any, spans: list[tuple[int, int]], entries: list[Entry], prefix: str) -> str:
        lead = self.text[node.start_mark.index : spans[0][0]]
        tail = self.text[spans[-1][1] : self.end(node)]
        gaps = [self.text[end:start] for (_, end), (start, _) in pairwise(spans)]
        if node.flow_style:
            return _flow(lead, gaps, tail, entries)
        return _block(lead, [_split(gap) for gap in gaps], tail, entries, prefix)


def _split(gap: str) -> _Gap:
    rest, newline, following = gap.partition("\n")
    if not newline:
        raise CannotEdit
    lines, last_newline, prefix = following.rpartition("\n")
    return _Gap(rest, lines + last_newline, prefix)


def _block(lead: str, gaps: list[_Gap], tail: str, entries: list[Entry], prefix: str) -> str:
    """A block from its entries. Lines of comments stay, even where the entry below them goes."""
    rests = [*(gap.rest for gap in gaps), tail]
    above = ["", *(gap.lines for gap in gaps)]
    prefixes = [lead, *(gap.prefix for gap in gaps)]
    out = ""
    comments = ""
    done = 0
    for number, (place, text, anew) in enumerate(entries):
        begin, rest = (lead if number == 0 else prefix), ""
        if place is not None:
            comments += "".join(above[done : place + 1])
            done = place + 1
            rest = rests[place]
            begin = prefixes[place] if place or number == 0 else prefix
            if number == 0 and place:
                # The first entry went: what begins the line is already there
                if comments and lead:
                    raise CannotEdit
                begin = (comments + begin).lstrip(" ") if comments else lead
                comments = ""
            begin, comments = comments + begin, ""
        if anew and "\n" in text:  # a comment behind the value stays behind the key
            text, rest = text.replace("\n", f"{rest}\n", 1), ""
        out += ("\n" if number else "") + begin + text + rest
    comments += "".join(above[done:])
    return out + ("\n" + comments.rstrip("\n") if comments.strip() else "")


def _flow(lead: str, gaps: list[str], tail: str, entries: list[Entry]) -> str:
    """`[...]` or `{...}` from its entries. A comment stays behind its entry."""
    plain = next((gap for gap in gaps if "#" not in gap), ", ")
    out = lead
    before: int | None = None
    for number, (place, text, _) in enumerate(entries):
        if number:
            gap = plain
            if before is not None and before < len(gaps) and ("#" in gaps[before] or place == before + 1):
                gap = gaps[before]
            out += gap
        out += text
        before = place
    last = len(gaps)
    if before is not None and before < last:
        tail = tail[tail.find("\n") :] if "#" in tail else tail
        if "#" in gaps[before]:  # a comma may stand before the bracket
            tail = gaps[before].rstrip(" ") + tail.lstrip(" ,\n")
    return out + tail


def _after_colon(value: Any, indent: int, flow: bool) -> str:
    """A value as it stands behind its key."""
    line = flow_yaml(value)
    short = len(line) + indent <= LINE
    lines = isinstance(value, str) and "\n" in value
    if flow or (not lines and (short or not isinstance(value, (dict, list)) or not value)):
        return f" {line}"
    return block_yaml({"k": value}, indent).removeprefix("k:")


def _item(value: Any, indent: int, in_blocks: bool) -> str:
    """A new item of a block list, in the form that its neighbours have."""
    line = flow_yaml(value)
    if isinstance(value, dict) and value and (in_blocks or len(line) + indent > LINE):
        return block_yaml(value, indent)
    return line
