"""`kdstudio mark RUN`: a star, tags and a note on runs, for the lists that people look at."""

from __future__ import annotations

import argparse
from typing import Any

from kdstudio.project.runs.folder import RunFolder
from kdstudio.project.runs.marks import read_marks, tags_of, write_marks


def add_parser(subparsers: Any) -> None:
    parser = subparsers.add_parser("mark", help="put a star, tags or a note on runs; without options it shows them")
    parser.add_argument("runs", nargs="+", metavar="RUN", help="run folders")
    star = parser.add_mutually_exclusive_group()
    star.add_argument("--star", action="store_true", help="give it a star")
    star.add_argument("--no-star", action="store_true", help="take the star away")
    parser.add_argument("--tag", action="append", default=[], metavar="WORD", help="add a tag; may be repeated")
    parser.add_argument("--untag", action="append", default=[], metavar="WORD", help="take a tag away")
    parser.add_argument("--note", metavar="TEXT", help="a note in place of the one there is; empty for none")


def run(args: argparse.Namespace) -> int:
    for path in args.runs:
        folder = RunFolder.open(path)
        marks = before = read_marks(folder)
        gone = {tag for text in args.untag for tag in tags_of(text)}
        added = [tag for text in args.tag for tag in tags_of(text)]
        marks = type(before)(
            star=args.star or (before.star and not args.no_star),
            tags=list(dict.fromkeys([*(tag for tag in before.tags if tag not in gone), *added])),
            note=before.note if args.note is None else args.note,
        )
        if marks != before:
            write_marks(folder, marks)
        print(f"{folder.name}  {marks.text}".rstrip())
    return 0
