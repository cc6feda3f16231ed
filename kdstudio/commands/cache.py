"""`kdstudio cache PROJECT`: what is kept of the teachers' answers, and a way to clear it."""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

from kdstudio.project.amounts import size_text
from kdstudio.project.cache import CacheEntry, clear, entries
from kdstudio.project.folder import Project


def add_parser(subparsers: Any) -> None:
    parser = subparsers.add_parser(
        "cache",
        help="what a project keeps of its teachers' answers",
        description="Lists the kept answers of a project's teachers, which runs read in place of asking again.",
    )
    parser.add_argument("project", metavar="PROJECT", help="the project's folder")
    parser.add_argument("--clear", action="store_true", help="delete them; the next run asks its teacher again")
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(args: argparse.Namespace) -> int:
    root = Project.open(Path(args.project).expanduser()).root
    held = entries(root)
    freed = clear(root) if args.clear else 0
    if args.json:
        print(json.dumps({"entries": [_described(entry) for entry in held], "freed": freed}))
    elif args.clear:
        print(f"deleted {size_text(freed)}")
    elif not held:
        print("nothing is kept")
    else:
        for entry in held:
            said = _described(entry)
            used = time.strftime("%Y-%m-%d %H:%M", time.localtime(entry.used))
            print(
                f"{said['name']}  {size_text(entry.size):>8}  {said['teacher']} about {said['samples']:,} samples, "
                f"{said['views']} view{'s' * (said['views'] != 1)}, {said['precision']}; used {used}"
            )
        print(f"{size_text(sum(entry.size for entry in held))} in all")
    return 0


def _described(entry: CacheEntry) -> dict[str, Any]:
    rows = entry.about.get("rows")
    return {
        "name": entry.path.name,
        "bytes": entry.size,
        "used": entry.used,
        "teacher": str(entry.about.get("teacher", "unknown")),
        "samples": rows if isinstance(rows, int) else 0,
        "views": entry.views,
        "precision": str(entry.about.get("precision", "")),
    }
