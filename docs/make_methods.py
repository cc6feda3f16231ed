"""Makes the pages of docs/methods, one a term of the objective or a way of training: `python docs/make_methods.py`.

What they say comes from docstrings, those of the engine's terms and those named in `WAYS`, and from the spec's fields.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_origin

from pydantic import BaseModel

from kdstudio.engine.chain import links_of
from kdstudio.engine.terms import OUTPUT_MODULES, PAIR_MODULES
from kdstudio.engine.terms.features import HintModule
from kdstudio.engine.terms.table import module_of
from kdstudio.project.assistants import born_again
from kdstudio.project.spec import AssistantSpec, Experiment, JoinRule, MutualTerm, PairTerm, Term, TermBase
from kdstudio.project.spec.walk import models_in, tags_of

FOLDER = Path(__file__).resolve().parent / "methods"
SECTIONS = ("Equation", "When it helps", "Usual weights", "Traps", "Paper")
#: Sections of a docstring that are for those who read the code.
CODE = ("Args", "Returns", "Raises")
NOTE = "<!-- Made by docs/make_methods.py from the docstrings in kdstudio/engine/terms. Change those. -->"
FAMILIES = {
    "output_terms": "On the outputs",
    "network_terms": "With several networks",
    "feature_terms": "On features of layers",
    "relation_terms": "On relations between samples",
    "trained_terms": "With parts that learn",
    "text_terms": "On the layers of text networks",
}
JOINS: dict[JoinRule, str] = {
    "regressor": "vectors, maps, or token sequences of one length; a learned regressor joins them, whatever their "
    "widths and the maps' sizes",
    "map-regressor": "maps; a learned regressor joins them, whatever their channels and sizes",
    "maps": "maps of any size and any number of channels; the larger is average-pooled to the smaller",
    "channels": "maps with as many channels in both networks; their sizes may differ",
    "equal": "any, of the same shape in both networks",
    "width": "any, of the same number of values in both networks",
    "any": "any that give more than one number, whatever their shapes",
    "prediction": "vectors, maps, or token sequences of one length; a learned prediction joins them, whatever their "
    "widths and the maps' sizes",
    "connector": "vectors, maps, or token sequences of one length; a learned connector joins them, whatever their "
    "widths and the maps' sizes",
    "map-connector": "maps; a learned connector joins them, whatever their channels and sizes. The teacher's layer "
    "ends in a batch normalisation",
    "fusion": "maps; the learned fusion joins them, whatever their channels and sizes",
    "factors": "maps; factors of as many channels are learned on both sides, whatever the maps' channels and sizes",
    "embedding": "any that give more than one number, whatever their shapes",
    "blocks": "blocks of text networks, such as `bert.encoder.layer.5`, over the same tokens; widths may differ",
    "scores": "blocks of text networks, such as `bert.encoder.layer.5`, over the same tokens and with as many heads; "
    "widths may differ",
    "states": "layers that give tokens, of the same width in both networks",
}
#: Ways of training beside the terms: whose docstring tells of each, and how it is written.
WAYS: dict[str, tuple[Callable[..., Any], str]] = {
    "chain": (
        links_of,
        "teacher: {model: resnet56}\nassistants:\n  - {model: resnet32}\nstudent: {model: resnet8}",
    ),
    "born-again": (
        born_again,
        "teacher: {model: resnet20}\nassistants:\n  - {model: resnet20}\nstudent: {model: resnet20}\nobjective:\n"
        "  - {term: hard, weight: 1}\n  - {term: soft, weight: 1, temperature: 1}\ntrain: {seed: 1}",
    ),
}
ALWAYS = "`from_epoch`, `until_epoch` and `schedule` say when a term counts, for this one as for every other."


def terms() -> dict[str, type[TermBase]]:
    """The terms of the spec by their tags."""
    return {tag: model for model in models_in(Term) for tag in tags_of(model)}


def read(tag: str, model: type[TermBase]) -> tuple[str, str, dict[str, str]]:
    """The title, the summary and the sections of a term's docstring.

    Raises:
        ValueError: The docstring lacks a section, or has one that is not known.
    """
    return read_docstring(tag, module_of(model))


def read_docstring(name: str, owner: Any) -> tuple[str, str, dict[str, str]]:
    """The same of any docstring; what it says of arguments is left out."""
    head, _, rest = (inspect.getdoc(owner) or "").partition("\n\n")
    title, _, summary = " ".join(head.split()).partition(": ")
    parts = re.split(r"^(\w[\w ]*):\n", rest, flags=re.MULTILINE)[1:]
    sections = {word: inspect.cleandoc(text) for word, text in zip(parts[::2], parts[1::2]) if word not in CODE}
    if tuple(sections) != SECTIONS or not summary or not all(sections.values()):
        raise ValueError(f"the docstring of {owner.__name__} ({name}) needs the sections {SECTIONS}")
    return title, summary[:1].upper() + summary[1:], sections


def page(tag: str, model: type[TermBase]) -> str:
    """The page of a term."""
    title, summary, sections = read(tag, model)
    lines = [NOTE, f"# {title}", "", summary, "", "```yaml", "objective:", f"  - {example(tag, model)}", "```"]
    lines += written(sections)
    lines += ["", "## Settings", "", "| key | default | what it is |", "|---|---|---|", *settings(model)]
    lines += ["", ALWAYS]
    if issubclass(model, PairTerm):
        several = "the mean" if module_of(model) is HintModule else "the sum"
        lines += ["", f"Layers that it can pair: {JOINS[model.joins]}. Of several pairs it takes {several}."]
    return "\n".join(lines) + "\n"


def written(sections: dict[str, str]) -> list[str]:
    """The sections of a docstring as lines of a page."""
    lines = []
    for name, text in sections.items():
        lines += ["", f"## {name}", "", *(["```", text, "```"] if name == "Equation" else [text])]
    return lines


def way_page(name: str) -> str:
    """The page of a way of training."""
    owner, yaml = WAYS[name]
    title, summary, sections = read_docstring(name, owner)
    lines = [way_note(owner), f"# {title}", "", summary, "", "```yaml", yaml, "```", *written(sections)]
    lines += ["", "## Settings", "", "Of each of the `assistants`, beside what every network has:", ""]
    lines += ["| key | what it is |", "|---|---|"]
    lines += [f"| `{key}` | {AssistantSpec.model_fields[key].description} |" for key in ("train", "objective")]
    if name == "chain":
        lines += ["", "Of the experiment:", "", "| key | default | what it is |", "|---|---|---|"]
        fields = {key: Experiment.model_fields[key] for key in ("guided", "guided_drop")}
        lines += [f"| `{key}` | {field.default} | {field.description} |" for key, field in fields.items()]
    return "\n".join(lines) + "\n"


def way_note(owner: Any) -> str:
    file = f"{owner.__module__.replace('.', '/')}.py"
    return f"<!-- Made by docs/make_methods.py from the docstring of {owner.__name__} in {file}. Change that. -->"


def example(tag: str, model: type[TermBase]) -> str:
    """The term in YAML, with the defaults of its own settings."""
    parts = [f"term: {tag}"]
    parts += [f"{name}: {default:g}" for name, default in own(model).items() if isinstance(default, (int, float))]
    parts += [f"{name}: {default}" for name, default in own(model).items() if isinstance(default, str)]
    if model is MutualTerm:
        parts.append("peers: [{model: mlp, seed: 1}]")
    if issubclass(model, PairTerm):
        pairs = ["{teacher: layer3, student: layer3}"]
        if model.model_fields["pairs"].metadata[0].min_length > 1:
            pairs.insert(0, "{teacher: layer2, student: layer2}")
        parts.append(f"pairs: [{', '.join(pairs)}]")
    return f"{{{', '.join(parts)}}}"


def own(model: type[BaseModel]) -> dict[str, object]:
    """The settings of a term beside those that say when it counts, with their defaults."""
    others = {"from_epoch", "until_epoch", "schedule", "term"}
    return {name: field.default for name, field in model.model_fields.items() if name not in others}


def settings(model: type[BaseModel]) -> list[str]:
    """A row of the table for each setting."""
    rows = []
    for name, default in own(model).items():
        field = model.model_fields[name]
        plain = isinstance(default, (int, float, str)) and get_origin(field.annotation) is not list
        shown = "" if not plain else default if isinstance(default, str) else f"{default:g}"
        rows.append(f"| `{name}` | {shown} | {field.description} |")
    return rows


def index() -> str:
    """The page that lists the others."""
    lines = [NOTE, "# Methods", "", "The terms of an objective: what a student can learn from its teacher."]
    family = ""
    for tag, model in terms().items():
        if FAMILIES[model.__module__.rpartition(".")[2]] != family:
            family = FAMILIES[model.__module__.rpartition(".")[2]]
            lines += ["", f"## {family}", ""]
        title, summary, _ = read(tag, model)
        lines.append(f"- [{title}]({tag}.md), `term: {tag}`. {re.sub(r' [(]`[^`]*`[)]', '', summary)}")
    lines += ["", "## Ways of training", ""]
    for name, (owner, _) in WAYS.items():
        title, summary, _ = read_docstring(name, owner)
        lines.append(f"- [{title}]({name}.md). {summary}")
    return "\n".join(lines) + "\n"


def pages() -> dict[str, str]:
    """All pages by file name."""
    assert {*OUTPUT_MODULES, *PAIR_MODULES} == set(terms().values())
    made = {f"{tag}.md": page(tag, model) for tag, model in terms().items()}
    return {"README.md": index(), **made, **{f"{name}.md": way_page(name) for name in WAYS}}


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    made = pages()
    for path in FOLDER.glob("*.md"):
        if path.name not in made:
            path.unlink()
    for name, text in made.items():
        (FOLDER / name).write_text(text, encoding="utf-8")
    print(f"{len(made)} pages in docs/methods")


if __name__ == "__main__":
    main()
