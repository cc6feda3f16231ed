"""Makes or renews the catalogue of one language: `python docs/make_catalogue.py de`.

Finds every text of the window and writes `resources/translations/kdstudio_de.ts`, which Qt Linguist opens; translations
that the file already has stay. docs/translating.md says the rest.
"""

from __future__ import annotations

import argparse
import ast
import inspect
import itertools
import re
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import yaml

ROOT = Path(__file__).resolve().parents[1]
CONTEXT = "kdstudio"
#: How the words in brackets begin that stand by themselves somewhere.
SHOWN_ALONE = r"empty:|usual|for example|\d|sgd:|Hinton"
#: Texts by their English words: the files that they stand in, and whether they have plurals.
Texts = dict[str, tuple[set[str], bool]]


def texts_of(root: Path = ROOT) -> Texts:
    """Every text that the window shows."""
    found: Texts = {}

    def add(text: str, file: Path, plural: bool = False) -> None:
        if not text:
            return
        files, plurals = found.get(text, (set(), False))
        found[text] = (files | {file.relative_to(root).as_posix()}, plurals or plural)

    for file in sorted((root / "kdstudio/gui").rglob("*.py")):
        for name, arguments in _calls(file):
            if name in ("tr", "mark") and arguments and isinstance(arguments[0], ast.Constant):
                add(arguments[0].value, file)
            elif name == "trn" and isinstance(arguments[1], ast.Constant):
                add(arguments[1].value, file, plural=True)
    for file in sorted((root / "kdstudio/project/spec").rglob("*.py")):
        for text in _descriptions(file):
            for part in (text, *_bracketed(text)):
                add(part, file)
    advice = root / "kdstudio/project/advice_words.py"
    for text in _table_texts(advice):
        add(text, advice)
    glossary = root / "resources/glossary.yaml"
    for text in _strings(yaml.safe_load(glossary.read_text(encoding="utf-8"))):
        add(text, glossary)
    for project in sorted(root.glob("projects/*/project.yaml")):
        about = yaml.safe_load(project.read_text(encoding="utf-8"))
        for text in (about["name"], " ".join(about["notes"].split())):
            add(text, project)
    return found


def _calls(file: Path) -> Iterator[tuple[str, list[ast.expr]]]:
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            yield node.func.id, node.args


def _table_texts(file: Path) -> Iterator[str]:
    """The texts in the tables of a module; their keys are names."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        for entry in node.values if isinstance(node, ast.Dict) else ():
            for part in entry.elts if isinstance(entry, ast.Tuple) else (entry,):
                yield ast.literal_eval(part)


def _descriptions(file: Path) -> Iterator[str]:
    """What a spec says of its models, and of their fields: the text below each."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.ClassDef) or not node.bases:
            continue
        yield ast.get_docstring(node) or ""
        for field, below in itertools.pairwise(node.body):
            if isinstance(field, ast.AnnAssign) and isinstance(below, ast.Expr):
                yield inspect.cleandoc(ast.literal_eval(below.value))


def _bracketed(description: str) -> Iterator[str]:
    """What the form shows of a description by itself: the usual range, and what it means that a field is empty."""
    for words in re.findall(r"\(([^()]*)\)", description):
        for part in words.split("; ") if re.match(SHOWN_ALONE, words) else ():
            yield re.sub(r"^(empty|sgd|adamw): ", "", part)


def _strings(data: object) -> Iterator[str]:
    if isinstance(data, str):
        yield data
    elif isinstance(data, dict):
        for key, part in data.items():
            yield from (*_strings(key), *_strings(part))


def catalogue(language: str, texts: Texts, known: ElementTree.Element | None = None) -> ElementTree.Element:
    """A catalogue in Qt's form.

    Args:
        known: The catalogue as it was; what is translated there is taken over.
    """
    done = {}
    for message in known.iter("message") if known is not None else ():
        translation = message.find("translation")
        if translation is not None and translation.get("type") is None:
            done[message.findtext("source")] = translation
    top = ElementTree.Element("TS", version="2.1", language=language, sourcelanguage="en")
    context = ElementTree.SubElement(top, "context")
    ElementTree.SubElement(context, "name").text = CONTEXT
    for text, (files, plural) in sorted(texts.items()):
        message = ElementTree.SubElement(context, "message", {"numerus": "yes"} if plural else {})
        for file in sorted(files):
            ElementTree.SubElement(message, "location", filename=file)
        ElementTree.SubElement(message, "source").text = text
        if text in done:
            message.append(done[text])
        else:
            translation = ElementTree.SubElement(message, "translation", type="unfinished")
            if plural:
                ElementTree.SubElement(translation, "numerusform")
    return top


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("language", help="a language, or a language and a country: de, pt_BR")
    path = ROOT / f"resources/translations/kdstudio_{parser.parse_args().language}.ts"
    known = ElementTree.parse(path).getroot() if path.exists() else None
    top = catalogue(path.stem.removeprefix("kdstudio_"), texts_of(), known)
    ElementTree.indent(top)
    path.parent.mkdir(parents=True, exist_ok=True)
    ElementTree.ElementTree(top).write(path, encoding="utf-8", xml_declaration=True)
    print(f"{path.relative_to(ROOT)}: {sum(1 for _ in top.iter('message'))} texts")


if __name__ == "__main__":
    main()
