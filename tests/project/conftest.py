"""Folders that cannot be written, and disks that are full."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest


@pytest.fixture
def mount(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Path]]:
    """`mount("size=16k")` gives a small file system of its own; the test is skipped where that is not allowed."""
    if not sys.platform.startswith("linux") or os.geteuid() != 0:
        pytest.skip("only root can mount a file system")
    mounted: list[Path] = []

    def make(options: str) -> Path:
        place = tmp_path_factory.mktemp("disk")
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(place)], capture_output=True)
        if done.returncode:
            pytest.skip(f"mounting is not allowed here: {done.stderr.decode().strip()}")
        mounted.append(place)
        return place

    yield make
    for place in mounted:
        subprocess.run(["umount", "-l", str(place)], check=True, capture_output=True)


@pytest.fixture
def read_only(request: pytest.FixtureRequest) -> Iterator[Callable[[Path], Path]]:
    """`read_only(folder)` gives a folder with the same files that cannot be written, by whatever means there is."""
    locked: list[Path] = []

    def make(folder: Path) -> Path:
        if os.name == "posix" and os.geteuid() != 0:
            for path in [folder, *folder.rglob("*")]:
                if path.is_dir():
                    path.chmod(0o555)
                    locked.append(path)
            return folder
        place = request.getfixturevalue("mount")("size=1m")
        subprocess.run(["cp", "-a", f"{folder}/.", str(place)], check=True)
        subprocess.run(["mount", "-o", "remount,ro", str(place)], check=True)
        return place

    yield make
    for path in locked:
        path.chmod(0o755)
