"""Snapshots of taggers: whole distributions over tags where words begin, and what padding may not change."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional

from kdstudio.engine import probes as probes_module
from kdstudio.engine.student_io import load_student
from kdstudio.engine.text.facts import IGNORED, TextFacts
from kdstudio.engine.text.tag_probes import LONGEST, probe_sentences, token_kinds
from kdstudio.project.runs.snapshots import list_snapshots, read_cka, read_looks, read_probes
from kdstudio.project.runs.texts import SaidTags, Texts, read_said, read_texts
from tests.engine.text.test_tagging import TAGS, fields
from tests.engine.text_kit import SMALL_BERT, tagged_sentences, train, write_tagged

PAIR = ("bert.encoder.layer.3", "bert.encoder.layer.1")


@pytest.fixture
def texts(lab: Any) -> Any:
    write_tagged(lab.project.root / "names.conll")
    return lab


def words_of(shown: Texts, text: int) -> str:
    """A sentence as it was written."""
    parts = shown.ids[text][shown.kinds[text] == 2]  # type: ignore[index]
    return " ".join("".join(shown.word(int(number)) for number in parts).split())


def test_what_a_run_keeps(texts: Any) -> None:
    run = texts.run(**fields(train=train(2, lr=5e-3), monitor={"every_seconds": 0.05}))
    shown, infos = read_texts(run), list_snapshots(run)
    assert shown is not None
    assert read_probes(run) is None
    assert (shown.task, list(shown.tags), shown.shift) == ("token-classification", TAGS, 0)
    assert shown.teacher_tags is not None
    assert shown.kinds is not None
    assert shown.ids.shape == shown.targets.shape == shown.kinds.shape
    known = {" ".join(words): tags for words, tags in tagged_sentences()}
    for text in range(len(shown.ids)):
        tags = [TAGS[number] for number in shown.targets[text][shown.hidden[text]]]
        assert known[words_of(shown, text)] == tags, "validation sentences with their tags, each at its word"
        assert (shown.targets[text][~shown.hidden[text]] == -1).all()
        assert len(shown.tokens(text)) == int((shown.kinds[text] > 0).sum())
    assert (shown.kinds == 0).any(), "sentences of different lengths"
    said = read_said(infos[-1])
    assert isinstance(said, SaidTags)
    assert said.kl is not None
    student = load_student(run.student_dir).model.eval()
    if run.state().best_epoch == 2:  # else the last snapshot is of other weights
        with torch.no_grad():
            logs = functional.log_softmax(student(torch.from_numpy(shown.ids).long()), dim=1).numpy()
        np.testing.assert_allclose(said.student, logs.reshape(said.student.shape), atol=2e-2)
    exact = (np.exp(shown.teacher_tags) * (shown.teacher_tags - said.student)).sum(axis=2)
    np.testing.assert_allclose(said.kl[shown.hidden], exact[shown.hidden], atol=5e-3)
    assert np.isnan(said.kl[~shown.hidden]).all()
    means = infos[-1].spoken
    assert means["kl"] == pytest.approx(float(said.kl[shown.hidden].mean()), rel=1e-3)
    there = np.take_along_axis(said.student, shown.targets.clip(0)[..., None].astype(int), 2)[..., 0][shown.hidden]
    assert means["nll"] == pytest.approx(-float(there.mean()), rel=1e-2, abs=1e-3)
    agree = (said.student.argmax(2) == shown.teacher_tags.argmax(2))[shown.hidden]
    assert means["agreement"] == pytest.approx(float(agree.mean()))
    assert all(info.path.stat().st_size < 130_000 for info in infos)


def test_layers_are_compared(texts: Any) -> None:
    run = texts.run(**fields(train=train(1)))
    info = list_snapshots(run)[-1]
    table = read_cka(info)
    assert table is not None
    assert table.shape == (len(info.teacher_layers), len(info.student_layers))
    assert info.teacher_layers[0] == "bert.embeddings"
    assert set(info.pair_cosine) == set(info.pair_cka) == set(info.pair_error) == {" → ".join(PAIR)}
    looks = read_looks(run, info, "attention", PAIR)
    assert looks is not None
    shown = read_texts(run)
    assert shown is not None
    for row in range(len(looks[1])):
        real = len(shown.tokens(row))
        np.testing.assert_allclose(looks[1][row, :, :real, :real].sum(axis=-1), 1, atol=5e-3)
        assert not looks[1][row, :, real:].any()


def test_a_network_that_reads_from_the_left(texts: Any) -> None:
    """Its tokens are compared without the first, which is far larger than the rest."""
    run = texts.run(**fields("gpt2", train=train(1)))
    assert read_cka(list_snapshots(run)[-1]) is not None


def test_without_a_teacher(texts: Any) -> None:
    plain = fields(train=train(1), teacher=None, student={"model": "transformers:bert", "args": SMALL_BERT})
    run = texts.run(**{**plain, "objective": [{"term": "hard"}]})
    shown, (info, *_) = read_texts(run), list_snapshots(run)
    said = read_said(info)
    assert shown is not None
    assert isinstance(said, SaidTags)
    assert shown.teacher_tags is None
    assert said.kl is None
    assert set(info.spoken) == {"nll"}


def test_snapshots_change_no_weights(texts: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = fields(train=train(1), monitor={"every_seconds": 0.05})
    monkeypatch.setattr(probes_module, "BUDGET", 1e9)
    monkeypatch.setattr(probes_module.Probes, "due", lambda self: True)
    often = texts.run(**plain)
    monkeypatch.setattr(probes_module.Probes, "due", lambda self: False)
    monkeypatch.setattr(probes_module.Probes, "take", lambda self, *_: None)
    never = texts.run(**plain)
    assert len(list_snapshots(often)) > 3
    assert not list_snapshots(never)
    assert texts.same(texts.module(often), texts.module(never))


def test_sentences_with_several_tags_are_preferred() -> None:
    facts = TextFacts("token-classification", 50, 80, 1, 1, special=(1, 2, 3), tags=tuple(TAGS))
    ids = torch.randint(4, 50, (40, 80))
    ids[:, 60:] = 1
    labels = torch.zeros(40, 80, dtype=torch.long)
    labels[::2, 3] = 1
    labels[:, 1::2] = IGNORED
    labels[::4, 2] = 3
    found, marks = probe_sentences(ids, labels, facts, 4)
    assert found.shape == marks.shape == (4, 60)
    assert all(len(row[row != IGNORED].unique()) > 1 for row in marks)
    many = TextFacts("token-classification", 50, 80, 1, 1, special=(1,), tags=tuple(f"T{n}" for n in range(500)))
    assert len(probe_sentences(ids, labels, many, 16)[0]) == 1, "so many tags take too much room"
    long = torch.randint(4, 50, (6, 200))
    assert probe_sentences(long, torch.zeros(6, 200, dtype=torch.long), facts, 6)[0].shape[1] == LONGEST
    assert token_kinds(torch.tensor([[2, 7, 3, 1]]), facts).tolist() == [[1, 2, 1, 0]]
