"""`kdstudio cache`: what is kept, and clearing it."""

from __future__ import annotations

import json
import time
from pathlib import Path

import numpy as np
import pytest

from kdstudio.cli import main
from kdstudio.engine.cache.store import ArrayKind, CacheStore
from kdstudio.project.cache import IN_USE_SECONDS, drop_images, entries, make_room
from kdstudio.project.folder import Project, create_project


@pytest.fixture
def project(tmp_path: Path) -> Project:
    project = create_project(tmp_path / "project", "empty")
    store = CacheStore(project.root / "cache" / "0123456789abcdef", 100, {"teacher": "MLP", "precision": "fp16"})
    store.write(0, 0, {"logits": np.zeros((100, 10), np.float16)})
    assert store.missing(0, {"logits": ArrayKind((10,), "float16")}) == {}
    return project


def test_what_is_kept_is_listed(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["cache", str(project.root)]) == 0
    told = capsys.readouterr().out
    assert "0123456789abcdef" in told
    assert "MLP about 100 samples, 1 view, fp16" in told
    assert main(["cache", str(project.root), "--json"]) == 0
    (entry,) = json.loads(capsys.readouterr().out)["entries"]
    assert (entry["samples"], entry["views"], entry["precision"]) == (100, 1, "fp16")
    assert entry["bytes"] > 0


def test_decoded_images_are_listed_and_make_no_room(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    folder = project.root / "cache" / "images-89abcdef01234567"
    folder.mkdir()
    (folder / "train.bin").write_bytes(bytes(5000))
    assert main(["cache", str(project.root)]) == 0
    assert "images that were not all decoded" in capsys.readouterr().out
    (folder / "cache.json").write_text('{"images": "photos", "rows": 12, "side": 8}')
    assert main(["cache", str(project.root)]) == 0
    assert "12 images of photos, 8 pixels" in capsys.readouterr().out
    later = time.time() + 2 * IN_USE_SECONDS
    gone = make_room(project.root, 10**9, 10, project.root / "cache" / "new", later)
    assert [entry.path.name for entry in gone] == ["0123456789abcdef"]
    drop_images(project.root, "photos", folder, later)
    drop_images(project.root, "others", project.root / "cache" / "images-0", later)
    assert folder.exists()
    drop_images(project.root, "photos", project.root / "cache" / "images-0", later)
    assert not folder.exists()


def test_it_is_cleared(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["cache", str(project.root), "--clear"]) == 0
    assert capsys.readouterr().out.startswith("deleted ")
    assert entries(project.root) == []
    assert main(["cache", str(project.root)]) == 0
    assert capsys.readouterr().out == "nothing is kept\n"


def test_a_folder_that_is_no_project_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["cache", str(tmp_path)]) == 2
    assert str(tmp_path) in capsys.readouterr().err


def test_a_damaged_description_does_not_matter(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    (entry,) = entries(project.root)
    (entry.path / "cache.json").write_text('{"rows": "many", "teacher": 3}')
    assert main(["cache", str(project.root)]) == 0
    assert "Traceback" not in capsys.readouterr().err
