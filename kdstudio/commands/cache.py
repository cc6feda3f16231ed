"""`kdstudio cache PROJECT`: what is kept of teachers' answers and decoded images, and a way to clear it."""

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
        help="what a project keeps of its teachers' answers and its images",
        description="Lists the kept answers of a project's teachers, which runs read in place of asking again, and "
        "images that were decoded onto the disk.",
    )
    parser.add_argument("project", metavar="PROJECT", help="the project's folder")
    parser.add_argument("--clear", action="store_true", help="delete them; the next run makes them again")
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
            if entry.is_images:
                about = "images that were not all decoded"
                if said["images"]:
                    about = f"{said['samples']:,} images of {said['images']}, {said['side']} pixels"
            else:
                views = f"{said['views']} view{'s' * (said['views'] != 1)}"
                about = f"{said['teacher']} about {said['samples']:,} samples, {views}, {said['precision']}"
            print(f"{said['name']}  {size_text(entry.size):>8}  {about}; used {used}")
        print(f"{size_text(sum(entry.size for entry in held))} in all")
    return 0


def _described(entry: CacheEntry) -> dict[str, Any]:
    rows = entry.about.get("rows")
    common = {
        "name": entry.path.name,
        "bytes": entry.size,
        "used": entry.used,
        "samples": rows if isinstance(rows, int) else 0,
    }
    if entry.is_images:
        return {**common, "images": entry.about.get("images"), "side": entry.about.get("side")}
    return {
        **common,
        "teacher": str(entry.about.get("teacher", "unknown")),
        "views": entry.views,
        "precision": str(entry.about.get("precision", "")),
    }
