"""`kdstudio new PATH --template NAME`: makes a project; `--from` makes it of a person's own data."""

from __future__ import annotations

import argparse
import shlex
from pathlib import Path
from typing import Any

from kdstudio.project.errors import InputError
from kdstudio.project.folder import Project, create_project, templates


def add_parser(subparsers: Any) -> None:
    parser = subparsers.add_parser("new", help="make a project from a template, or of your own data")
    parser.add_argument("path", help="the new folder")
    names = ", ".join([*templates(), "empty"])
    parser.add_argument("--template", help=f"one of: {names} (default: digits)")
    parser.add_argument(
        "--from",
        dest="source",
        metavar="DATA",
        help="your data: a table of texts (.csv, .tsv, .jsonl), words with tags (.conll, or .jsonl with lists), a text "
        "(.txt), or a folder with a sub-folder of images for each class; they stay where they are",
    )
    parser.add_argument("--text", metavar="COLUMN", help="of a table: the column with the text (default: guessed)")
    parser.add_argument("--second", metavar="COLUMN", help="of a table: the column with a second text")
    parser.add_argument("--label", metavar="COLUMN", help="of a table: the column with the label (default: guessed)")
    parser.add_argument(
        "--task",
        choices=("causal-lm", "masked-lm"),
        help="of a text: what is learned, the next token (GPT) or hidden ones (BERT) (default: causal-lm)",
    )
    parser.add_argument("--encoding", default="utf-8", help="of a file of texts (default: utf-8)")


def run(args: argparse.Namespace) -> int:
    if args.source and args.template:
        raise InputError("new: --template and --from are both given", fix="keep one")
    given = [f"--{name}" for name in ("text", "second", "label", "task") if getattr(args, name)]
    if given and not args.source:
        raise InputError(f"new: {given[0]} is about your own data, and none is given", fix="add --from FILE")
    project = _own(args) if args.source else create_project(args.path, args.template or "digits")
    print(f"made {project.root}")
    for name in project.experiment_names():
        print(f"  {name}")
    if args.source:
        data = project.load(project.experiment_names()[0]).data
        columns = [f"{field} {getattr(data, field)}" for field in ("text", "second", "label") if _named(data, field)]
        if columns and data.source == "table":
            print(f"columns: {', '.join(columns)}")
    print(f"open it:  kdstudio {shlex.quote(str(args.path))}")
    return 0


def _named(data: Any, field: str) -> bool:
    return bool(getattr(data, field, None))


def _own(args: argparse.Namespace) -> Project:
    from kdstudio.project.own_images import images_into, is_image_folder
    from kdstudio.project.own_texts import own_project

    source, target = Path(args.source).expanduser(), Path(args.path).expanduser()
    if not source.exists():
        raise InputError(f"{source}: there is no such file or folder", fix="check the path", kind="missing-file")
    if source.is_dir():
        if not is_image_folder(source):
            raise InputError(
                f"{source}: this folder has no sub-folders with images",
                why="the name of a sub-folder is the class of the images in it; there are two classes at least",
                fix="put the images of each class into a folder of their own, and give the folder above them",
            )
        return images_into(target, source)
    return own_project(target, source, args.text, args.second, args.label, args.encoding, args.task)
