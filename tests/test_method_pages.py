"""The pages of docs/methods: one a term, made from the docstrings as they are now, and nothing missing in them."""

from __future__ import annotations

import re
from typing import Any

import pytest

from kdstudio.engine import losses
from kdstudio.project.spec import Experiment, validate
from kdstudio.project.yaml_io import parse_yaml
from tests.doc_scripts import DOCS, load_script


@pytest.fixture(scope="module")
def maker() -> Any:
    return load_script("make_methods")


def test_the_pages_are_up_to_date(maker: Any) -> None:
    made = maker.pages()
    assert set(made) == {path.name for path in (DOCS / "methods").iterdir()}
    stale = [name for name, text in made.items() if (DOCS / "methods" / name).read_text(encoding="utf-8") != text]
    assert not stale, "run python docs/make_methods.py"


def test_every_term_has_a_whole_page(maker: Any) -> None:
    for tag, model in maker.terms().items():
        text = (DOCS / "methods" / f"{tag}.md").read_text(encoding="utf-8")
        headings = re.findall(r"^## (.*)$", text, flags=re.MULTILINE)
        assert headings == ["Equation", "When it helps", "Usual weights", "Traps", "Paper", "Settings"], tag
        assert all(f"| `{name}` |" in text for name in maker.own(model)), tag
        assert re.search(r"\d{4}\.\d{4,5}|CVPR", text), tag
        assert f"({tag}.md)" in (DOCS / "methods/README.md").read_text(encoding="utf-8")


def test_every_way_of_training_has_a_whole_page(maker: Any) -> None:
    for name, (_, yaml) in maker.WAYS.items():
        text = (DOCS / "methods" / f"{name}.md").read_text(encoding="utf-8")
        headings = re.findall(r"^## (.*)$", text, flags=re.MULTILINE)
        assert headings == ["Equation", "When it helps", "Usual weights", "Traps", "Paper", "Settings"], name
        assert f"({name}.md)" in (DOCS / "methods/README.md").read_text(encoding="utf-8")
        assert validate(Experiment, parse_yaml(f"name: a\n{yaml}")).assistants


def test_every_loss_that_a_page_names_is_there_and_every_loss_is_named(maker: Any) -> None:
    named = {name for text in maker.pages().values() for name in re.findall(r"`(\w+_loss)`", text)}
    part_of_another = {"attention_map", "attention_scores", "in_chunks", "chunk_positions", "hard_target_loss"}
    in_pieces = {name for name in losses.__all__ if name.endswith("_chunked")}
    assert named == set(losses.__all__) - part_of_another - in_pieces


def test_every_example_is_a_valid_term(maker: Any) -> None:
    for tag, model in maker.terms().items():
        text = (
            "name: a\nteacher: {model: cnn}\nteachers: [{model: cnn}]\nstudent: {model: cnn}\n"
            f"objective:\n  - {maker.example(tag, model)}\n"
        )
        assert type(validate(Experiment, parse_yaml(text)).objective[0]) is model


def test_a_docstring_without_a_section_is_refused(maker: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    model = maker.terms()["soft"]
    monkeypatch.setattr(maker.module_of(model), "__doc__", "Soft targets: all of it.\n\nEquation:\n    L = 0\n")
    with pytest.raises(ValueError, match=r"the docstring of SoftModule \(soft\) needs the sections"):
        maker.page("soft", model)
