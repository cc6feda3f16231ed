"""`kdstudio inspect` of tables of texts: pairs, files that are not there, lengths before anything is cut."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from kdstudio.cli import main


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    """Every fourth text is long."""
    rows = [
        f"{'a long day and a long night ' * (30 if number % 4 == 0 else 1)},it was {number},{'xy'[number % 2]}"
        for number in range(80)
    ]
    path = tmp_path / "pairs.csv"
    path.write_text("\n".join(["premise,hypothesis,kind", *rows]))
    return path


def test_lengths_are_those_before_texts_are_cut(pairs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["inspect", str(pairs), "--text", "premise", "--label", "kind", "--tokenizer", "bpe:300"]
    assert main([*words, "--max-tokens", "64", "--json"]) == 0
    one = json.loads(capsys.readouterr().out)["text"]
    assert one["tokens"]["cut"] == pytest.approx(0.25)
    assert one["tokens"]["longest"] > 64
    assert sum(one["tokens"]["counts"]) == 80
    assert main([*words, "--max-tokens", "64"]) == 0
    assert "25 % are longer than 64 and are cut" in capsys.readouterr().out
    assert main([*words, "--max-tokens", str(one["tokens"]["longest"])]) == 0, "a text that just fits is not cut"
    assert "none is cut" in capsys.readouterr().out
    assert main([*words, "--second", "hypothesis", "--max-tokens", "64", "--json"]) == 0
    two = json.loads(capsys.readouterr().out)["text"]
    assert two["tokens"]["shortest"] > one["tokens"]["shortest"], "the second text counts"


def test_a_second_column_that_is_not_there_is_told(pairs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", str(pairs), "--text", "premise", "--label", "kind", "--second", "hypothesi"]) == 2
    said = capsys.readouterr().err
    assert "pairs.csv has no column 'hypothesi'" in said
    assert "hypothesis" in said


@pytest.mark.parametrize("name", ["mails.csv", "mails.tsv", "mails.jsonl", "mails.csv.gz", "mails.txt", "mails.txt.gz"])
def test_a_file_that_is_not_there_is_no_unknown_model(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["inspect", name]) == 2
    said = capsys.readouterr().err
    assert f"{name}: there is no such file or folder" in said
    assert "model" not in said
