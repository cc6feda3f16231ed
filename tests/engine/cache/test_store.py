"""Shards: what a crash, a damaged file and another process leave behind."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from kdstudio.engine.cache.store import SHARD, ArrayKind, CacheStore
from kdstudio.project.cache import clear, entries, make_room, total_bytes
from kdstudio.project.errors import StorageError

ROWS = 2 * SHARD + 100
KIND = ArrayKind((3,), "float32")
VALUES = np.random.default_rng(0).standard_normal((ROWS, 3)).astype(np.float32)


def store(root: Path, key: str = "k") -> CacheStore:
    return CacheStore(root / "cache" / key, ROWS, {"teacher": "mlp"})


def filled(root: Path, key: str = "k") -> CacheStore:
    made = store(root, key)
    for shard in range(made.shards):
        made.write(0, shard, {"logits": VALUES[slice(*made.span(shard))]})
    return made


def test_what_is_written_is_read_by_another_process_alike(tmp_path: Path) -> None:
    assert store(tmp_path).missing(0, {"logits": KIND}) == {0: ["logits"], 1: ["logits"], 2: ["logits"]}
    filled(tmp_path)
    again = store(tmp_path)
    assert again.missing(0, {"logits": KIND}) == {}
    assert np.array_equal(again.read(0, "logits", KIND), VALUES)
    assert again.missing(1, {"logits": KIND}).keys() == {0, 1, 2}
    assert again.missing(0, {"logits": KIND, "layer2.0": KIND}) == {shard: ["layer2.0"] for shard in range(3)}


def test_a_shard_whose_rows_were_written_and_not_named_is_missing(tmp_path: Path) -> None:
    """As kill -9 between the two leaves it."""
    made = filled(tmp_path)
    done = made.view(0) / "logits.done"
    lines = done.read_bytes().splitlines(keepends=True)
    done.write_bytes(lines[0] + lines[1][:-1])  # the second line is cut off, the third was not written
    assert store(tmp_path).missing(0, {"logits": KIND}).keys() == {1, 2}


@pytest.mark.parametrize("damage", ["byte", "short", "gone", "words"])
def test_damage_is_found_and_made_good(tmp_path: Path, damage: str) -> None:
    file = filled(tmp_path).view(0) / "logits.bin"
    if damage == "byte":
        content = bytearray(file.read_bytes())
        content[SHARD * 12 + 5] ^= 1
        file.write_bytes(content)
        expected = {1}
    elif damage == "short":
        file.write_bytes(file.read_bytes()[: SHARD * 12 + 7])
        expected = {1, 2}
    elif damage == "gone":
        file.unlink()
        expected = {0, 1, 2}
    else:
        file.with_suffix(".done").write_bytes(b"\xff\n0 x\n1 2 3\n\n99 5\n")
        expected = {0, 1, 2}
    again = store(tmp_path)
    assert again.missing(0, {"logits": KIND}).keys() == expected
    filled(tmp_path)
    assert store(tmp_path).missing(0, {"logits": KIND}) == {}
    assert np.array_equal(store(tmp_path).read(0, "logits", KIND), VALUES)


def test_one_process_fills_a_shard_at_a_time(tmp_path: Path) -> None:
    first, second = store(tmp_path), store(tmp_path)
    with first.claim(0, 1) as mine:
        assert mine
        with second.claim(0, 1) as theirs:
            assert not theirs
        with second.claim(0, 2) as theirs:
            assert theirs
    with second.claim(0, 1) as theirs:
        assert theirs


FILLER = """
import sys, numpy as np
from pathlib import Path
from kdstudio.engine.cache.store import SHARD, ArrayKind, CacheStore
rows, kind = 40 * SHARD, ArrayKind((64,), "float32")
store = CacheStore(Path(sys.argv[1]), rows, {})
for shard in store.missing(0, {"logits": kind}):
    start, end = store.span(shard)
    numbers = np.arange(start, end, dtype=np.float32)[:, None].repeat(64, 1)
    print("filling", flush=True)
    store.write(0, shard, {"logits": numbers})
"""


def test_kill_while_filling(tmp_path: Path) -> None:
    kind = ArrayKind((64,), "float32")
    folder = tmp_path / "cache" / "k"
    kept = 0
    for _ in range(3):
        with subprocess.Popen([sys.executable, "-c", FILLER, str(folder)], stdout=subprocess.PIPE) as child:
            assert child.stdout is not None
            for _ in range(3):
                child.stdout.readline()
            child.kill()
        there = CacheStore(folder, 40 * SHARD, {})
        missing = there.missing(0, {"logits": kind})
        assert 40 - len(missing) >= kept
        kept = 40 - len(missing)
    assert kept >= 6
    subprocess.run([sys.executable, "-c", FILLER, str(folder)], check=True, stdout=subprocess.DEVNULL)
    there = CacheStore(folder, 40 * SHARD, {})
    assert there.missing(0, {"logits": kind}) == {}
    assert np.array_equal(there.read(0, "logits", kind)[:, 5], np.arange(40 * SHARD, dtype=np.float32))


def test_what_was_not_used_for_longest_makes_room(tmp_path: Path) -> None:
    for number, key in enumerate("abc"):
        folder = filled(tmp_path, key).folder
        moment = time.time() - 10_000 + number
        os.utime(folder / "used", (moment, moment))
    size = total_bytes(tmp_path)
    assert [entry.path.name for entry in entries(tmp_path)] == ["c", "b", "a"]
    assert make_room(tmp_path, 100, size + 100, tmp_path / "cache" / "a") == []
    gone = make_room(tmp_path, 100, size, tmp_path / "cache" / "a")  # a is to stay
    assert [entry.path.name for entry in gone] == ["b"]
    filled(tmp_path, "b")  # in use now
    assert make_room(tmp_path, 10, 1, tmp_path / "cache" / "c")[0].path.name == "a"
    assert [entry.path.name for entry in entries(tmp_path)] == ["b", "c"]


def test_version_control_and_backups_leave_it_out(tmp_path: Path) -> None:
    CacheStore(tmp_path / "cache" / "entry", 10, {})
    assert (tmp_path / "cache" / ".gitignore").read_text() == "*\n"
    assert (tmp_path / "cache" / "CACHEDIR.TAG").exists()


def test_the_cache_is_described_and_cleared(tmp_path: Path) -> None:
    made = filled(tmp_path)
    (entry,) = entries(tmp_path)
    assert (entry.about["teacher"], entry.about["rows"], entry.views) == ("mlp", ROWS, 1)
    assert entry.size >= ROWS * 12
    (made.folder / "cache.json").write_text("{")
    assert entries(tmp_path)[0].about == {}
    assert json.loads("[]") == []
    assert clear(tmp_path) >= ROWS * 12
    assert entries(tmp_path) == []
    assert clear(tmp_path / "none") == 0


def test_a_file_that_goes_while_it_is_read_is_told(tmp_path: Path) -> None:
    made = filled(tmp_path)
    clear(tmp_path)
    with pytest.raises(StorageError, match=r"logits\.bin"):
        made.read(0, "logits", KIND)
