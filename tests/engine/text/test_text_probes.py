"""Snapshots of texts: what padding may not change, attention as the library gives it, top words and exact figures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional

from kdstudio.engine import probes as probes_module
from kdstudio.engine.cka import linear_cka
from kdstudio.engine.run import data_of
from kdstudio.engine.student_io import load_student
from kdstudio.engine.taps import Taps
from kdstudio.engine.text.attention_maps import attention_weights, block_pairs, obstacle
from kdstudio.engine.text.build import build_transformers
from kdstudio.engine.text.facts import TextFacts
from kdstudio.engine.text.families import is_causal
from kdstudio.engine.text.hidden import layers_of, mean_of_real
from kdstudio.engine.text.probes import TOP, log_probabilities, masses
from kdstudio.project.runs.snapshots import list_snapshots, read_cka, read_looks, read_probes
from kdstudio.project.runs.texts import entropy_at, mass_at, read_said, read_texts
from kdstudio.project.spec import ModelSpec
from tests.engine.text_kit import SMALL_BERT, SMALL_GPT2, corpus_data, table_data, train, write_corpus, write_table

SMALL = {
    "bert": SMALL_BERT,
    "gpt2": SMALL_GPT2,
    "roberta": SMALL_BERT,
    "distilbert": {"dim": 32, "n_layers": 4, "n_heads": 4, "hidden_dim": 64},
    "opt": {
        "hidden_size": 32,
        "num_hidden_layers": 4,
        "num_attention_heads": 4,
        "ffn_dim": 64,
        "word_embed_proj_dim": 32,
    },
}


@pytest.fixture
def texts(lab: Any) -> Any:
    write_table(lab.project.root / "texts.csv")
    write_corpus(lab.project.root / "corpus.txt")
    return lab


def fields(data: dict[str, Any], kind: str, pair: tuple[str, str], **more: Any) -> dict[str, Any]:
    term = {"term": "cosine", "pairs": [{"teacher": pair[0], "student": pair[1]}]}
    return {
        "data": data,
        "teacher": {"model": f"transformers:{kind}", "args": SMALL[kind], "train": train(1)},
        "student": {"model": "from-teacher"},
        "objective": [{"term": "hard", "weight": 0.5}, {"term": "soft", "weight": 0.5, "temperature": 2}, term],
        "train": train(1),
        **more,
    }


GPT_PAIR, BERT_PAIR = ("transformer.h.3", "transformer.h.1"), ("bert.encoder.layer.3", "bert.encoder.layer.1")


def test_a_causal_model(texts: Any) -> None:
    run = texts.run(**fields(corpus_data("causal-lm"), "gpt2", GPT_PAIR))
    shown, infos = read_texts(run), list_snapshots(run)
    assert shown is not None
    assert read_probes(run) is None
    assert shown.task == "causal-lm"
    blocks, length = shown.ids.shape
    assert length == 16
    assert shown.targets.shape == shown.hidden.shape == (blocks, length - 1)
    np.testing.assert_array_equal(shown.targets, shown.ids[:, 1:])
    assert shown.hidden.all()
    bundle = data_of(run)
    assert "".join(shown.word(number) for number in shown.ids[0]) == bundle.tokenizer.text(shown.ids[0])
    assert len({info.path.stat().st_size for info in infos}) <= 2
    assert all(info.path.stat().st_size < 130_000 for info in infos)
    student = load_student(run.student_dir).model.eval()  # the last snapshot is of the last epoch, which is the best
    said = read_said(infos[-1])
    assert said is not None
    assert said.kl is not None
    with torch.no_grad():
        logs = functional.log_softmax(student(torch.from_numpy(shown.ids).long()), dim=1).numpy()
    logs = logs.reshape(*shown.targets.shape, -1)
    ids = said.student.ids.astype(int)
    assert ids.shape == (*shown.targets.shape, TOP)
    np.testing.assert_array_equal(ids[..., 0], logs.argmax(axis=2))
    np.testing.assert_allclose(said.student.logs[..., :-1], np.take_along_axis(logs, ids, 2), rtol=2e-3, atol=2e-3)
    there = np.take_along_axis(logs, shown.targets[..., None].astype(int), 2)[..., 0]
    np.testing.assert_allclose(said.student.logs[..., -1], there, rtol=2e-3, atol=2e-3)
    assert infos[-1].spoken["nll"] == pytest.approx(-float(there.mean()), rel=1e-3)
    assert infos[-1].spoken["kl"] == pytest.approx(float(said.kl.mean()), rel=1e-4)
    assert 0 <= infos[-1].spoken["agreement"] <= 1
    teacher = shown.teacher(said)
    assert teacher is not None
    assert teacher.others is not None
    assert teacher.others.shape == ids.shape
    # the same words have the same values, from whichever side they are asked for
    for place in ((0, 0), (blocks - 1, length - 2)):
        mine = dict(zip(ids[place].tolist(), teacher.others[place].tolist()))
        for number, value in zip(teacher.ids[place].tolist(), teacher.logs[place][:-1].tolist()):
            assert mine.get(number, value) == pytest.approx(value, abs=2e-2)


def test_a_masked_model_has_its_tokens_hidden_at_the_same_places(texts: Any) -> None:
    run = texts.run(**fields(corpus_data("masked-lm"), "bert", BERT_PAIR))
    shown, infos = read_texts(run), list_snapshots(run)
    assert shown is not None
    assert shown.targets.shape == shown.ids.shape
    assert shown.shift == 0
    assert 0 < shown.hidden.mean() < 0.5
    changed = shown.targets != shown.ids
    assert changed.any()
    assert not (changed & ~shown.hidden).any(), "only hidden tokens are others than those that were there"
    for info in infos:
        said = read_said(info)
        assert said is not None
        assert said.student.logs.shape == (*shown.ids.shape, TOP + 1)
    info = infos[-1]
    assert info.attention_pairs[-1] == BERT_PAIR
    found = read_looks(run, info, "attention", BERT_PAIR)
    assert found is not None
    assert found[0].shape == found[1].shape
    assert found[0].shape[1:] == (4, 16, 16)
    np.testing.assert_allclose(found[1].sum(axis=-1), 1, atol=5e-3)
    table = read_cka(info)
    assert table is not None
    assert info.teacher_layers[0] == "bert.embeddings"
    assert not any(name.startswith("cls") for name in info.teacher_layers)
    assert set(info.pair_cosine) == set(info.pair_cka) == {" → ".join(BERT_PAIR)}


def test_a_classifier_shows_its_texts_and_leaves_padding_out(texts: Any) -> None:
    monitor = {"every_seconds": 3600, "probes": 6, "pool": 20, "alignment_samples": 12}
    run = texts.run(**fields(table_data(), "bert", BERT_PAIR, monitor=monitor))
    probes, infos = read_probes(run), list_snapshots(run)
    assert probes is not None
    assert probes.images is None
    assert probes.tokens is not None
    assert probes.texts is not None
    assert len(probes.tokens) == len(probes.texts) == len(probes.labels) == 6
    assert all("<|pad|>" not in row for row in probes.tokens)
    assert "".join(probes.tokens[0]).strip() == probes.texts[0].strip()
    assert {len(row) for row in probes.tokens} != {16}, "texts of different lengths"
    info, student = infos[-1], load_student(run.student_dir)
    bundle = data_of(run)
    order = probes_module.balanced_order(bundle.validation.labels.numpy())[:12]
    # one text at a time has no padding at all: the means have to be the same
    means = []
    for index in order:
        ids = bundle.validation.images[int(index)]
        ids = ids[ids != bundle.text.pad].long()[None]
        with Taps(student.model, ["bert.embeddings", BERT_PAIR[1]]) as taps, torch.no_grad():
            student.model.eval()(ids)
            found = taps.take()
        means.append([found[name].mean(dim=1)[0] for name in ("bert.embeddings", BERT_PAIR[1])])
    first, second = (torch.stack([row[side] for row in means]) for side in (0, 1))
    assert linear_cka(first, second) > 0
    relations = read_looks(run, info, "relations", info.relation_pairs[-1])
    assert relations is not None
    distances = torch.cdist(second[:6], second[:6])
    mean = distances[distances > 0].mean()
    np.testing.assert_allclose(relations[1], (distances / mean).numpy(), atol=5e-3)
    attention = read_looks(run, info, "attention", BERT_PAIR)
    assert attention is not None
    for row in range(len(attention[1])):
        real = len(probes.tokens[row])
        np.testing.assert_allclose(attention[1][row, :, :real, :real].sum(axis=-1), 1, atol=5e-3)
        assert not attention[1][row, :, real:].any()
        assert not attention[1][row, :, :, real:].any()


@pytest.mark.parametrize("task", ["causal-lm", "masked-lm"])
def test_snapshots_change_no_weights(texts: Any, task: str, monkeypatch: pytest.MonkeyPatch) -> None:
    kind, pair = ("gpt2", GPT_PAIR) if task == "causal-lm" else ("bert", BERT_PAIR)
    plain = fields(corpus_data(task), kind, pair, monitor={"every_seconds": 0.05})
    monkeypatch.setattr(probes_module, "BUDGET", 1e9)
    monkeypatch.setattr(probes_module.Probes, "due", lambda self: True)
    asked: list[int] = []
    often = texts.run(**plain)
    monkeypatch.setattr(probes_module.Probes, "due", lambda self: False)
    monkeypatch.setattr(probes_module.Probes, "take", lambda self, *_: asked.append(1))
    never = texts.run(**plain)
    assert len(list_snapshots(often)) > 3
    assert asked
    assert not list_snapshots(never)
    assert texts.same(texts.module(often), texts.module(never))


def test_the_teacher_is_asked_for_its_words_once(texts: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from kdstudio.engine.text.probes import LanguageProbes

    asked: list[str] = []
    original = LanguageProbes._look

    def counted(self: Any, model: Any, names: list[str]) -> Any:
        asked.append("teacher" if model is self.teacher else "student")
        return original(self, model, names)

    monkeypatch.setattr(LanguageProbes, "_look", counted)
    monkeypatch.setattr(probes_module.Probes, "due", lambda self: True)
    texts.run(**fields(corpus_data("causal-lm"), "gpt2", GPT_PAIR))
    assert asked.count("teacher") == 2, "once for its words, once for its layers"
    assert asked.count("student") > 3


def test_without_a_teacher(texts: Any) -> None:
    plain = fields(corpus_data("causal-lm"), "gpt2", GPT_PAIR)
    plain |= {"teacher": None, "objective": [{"term": "hard"}]}
    plain["student"] = {"model": "transformers:gpt2", "args": SMALL_GPT2}
    run = texts.run(**plain)
    shown, (info, *_) = read_texts(run), list_snapshots(run)
    said = read_said(info)
    assert shown is not None
    assert said is not None
    assert said.kl is None
    assert said.teacher_others is None
    assert shown.teacher(said) is None
    assert set(info.spoken) == {"nll"}
    assert info.attention_why is None


@pytest.mark.parametrize("temperature", [0.5, 0.7, 1.0, 1.3, 2.0, 3.0, 5.0, 11.0, 40.0, 1000.0])
def test_distributions_at_any_temperature(temperature: float) -> None:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(40, 2000, generator=generator) * torch.linspace(0.3, 6, 40)[:, None]
    logs = log_probabilities(logits).double()
    kept = masses(logs).numpy()
    soft = functional.log_softmax(logits.double() / temperature, dim=1)
    value, _ = mass_at(kept, temperature)
    found = np.exp(logs.numpy() / temperature - value[:, None])
    np.testing.assert_allclose(found, soft.exp().numpy(), rtol=0.02)
    exact = -(soft.exp() * soft).sum(dim=1).numpy()
    np.testing.assert_allclose(entropy_at(kept, temperature), exact, rtol=0.03, atol=0.02)
    if temperature in (0.5, 1.0, 2.0):
        np.testing.assert_allclose(found, soft.exp().numpy(), rtol=1e-4)


@pytest.mark.parametrize("kind", sorted(SMALL))
def test_attention_is_what_the_library_computes(kind: str) -> None:
    task = "causal-lm" if kind in ("gpt2", "opt") else "masked-lm"
    pad = None if task == "causal-lm" else 1
    facts = TextFacts(task, 50, 8, pad, 1, mask=2, special=(1, 2))
    torch.manual_seed(0)
    model = build_transformers(ModelSpec(model=f"transformers:{kind}", args=SMALL[kind]), facts, 2, Path()).eval()
    for parameter in model.parameters():  # the library's first weights give attention that is nearly even
        parameter.data.mul_(4)
    assert obstacle(model) == ""
    ids = torch.randint(3, 50, (2, 8), generator=torch.Generator().manual_seed(1))
    if pad is not None:
        ids[1, 5:] = pad
    mask = model.token_mask(ids)
    block = f"{model.blocks}.1"
    with Taps(model, [f"{block}#query", f"{block}#key"]) as taps, torch.no_grad():
        model(ids)
        found = taps.take()
        ours = attention_weights(found[f"{block}#query"], found[f"{block}#key"], mask, is_causal(model.config))
    model.inner.set_attn_implementation("eager")
    with torch.no_grad():
        arguments = {} if mask is None else {"attention_mask": mask.long()}
        theirs = model.inner(input_ids=ids, output_attentions=True, **arguments).attentions[1]
    assert float(theirs.max()) > 0.3
    rows = torch.ones(2, 8, dtype=torch.bool) if mask is None else mask
    for text in range(2):
        torch.testing.assert_close(ours[text][:, rows[text]], theirs[text][:, rows[text]], atol=1e-5, rtol=1e-4)


def test_no_map_rather_than_a_wrong_one() -> None:
    facts = TextFacts("causal-lm", 50, 8, None, 1)
    args = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64}
    llama = build_transformers(ModelSpec(model="transformers:llama", args=args), facts, 2, Path())
    assert obstacle(llama) == "rotary"
    scaled = {**SMALL_GPT2, "scale_attn_by_inverse_layer_idx": True}
    assert (
        obstacle(build_transformers(ModelSpec(model="transformers:gpt2", args=scaled), facts, 2, Path())) == "unknown"
    )
    assert obstacle(torch.nn.Linear(2, 2)) == "unknown"


def test_pairs_of_blocks() -> None:
    teacher, student = [f"t.{number}" for number in range(6)], [f"s.{number}" for number in range(3)]
    assert block_pairs(teacher, student, []) == [("t.1", "s.0"), ("t.3", "s.1"), ("t.5", "s.2")]
    wanted = [("t.0", "s.0"), ("embeddings", "embeddings")]
    assert block_pairs(teacher, student, wanted) == [("t.3", "s.1"), ("t.5", "s.2"), ("t.0", "s.0")]
    assert block_pairs(teacher[:1], teacher, [])[-1] == ("t.0", "t.5")


def test_layers_and_rows_of_texts() -> None:
    facts = TextFacts("classification", 50, 8, 1, 1)
    model = build_transformers(ModelSpec(model="transformers:bert", args=SMALL_BERT), facts, 2, Path())
    blocks = [f"bert.encoder.layer.{number}" for number in range(4)]
    assert layers_of(model) == ["bert.embeddings", *blocks, "bert.pooler", "classifier"]
    small = ModelSpec(model="transformers:bert", args={**SMALL_BERT, "num_hidden_layers": 1})
    assert layers_of(build_transformers(small, facts, 2, Path())) == [
        "bert.embeddings",
        "bert.encoder.layer.0",
        "bert.pooler",
        "classifier",
    ]
    facts = TextFacts("causal-lm", 50, 8, None, 1)
    small = ModelSpec(model="transformers:gpt2", args={**SMALL_GPT2, "n_layer": 1})
    single = build_transformers(small, facts, 2, Path())
    assert layers_of(single) == ["transformer.wte", "transformer.h.0", "transformer.ln_f"]
    model = build_transformers(ModelSpec(model="transformers:gpt2", args=SMALL_GPT2), facts, 2, Path())
    assert layers_of(model)[0] == "transformer.wte"
    assert layers_of(model)[-1] == "transformer.ln_f"
    assert len(layers_of(model)) == 6
    features = torch.tensor([[[1.0, 2.0], [3.0, 4.0]], [[5.0, 6.0], [float("nan"), 8.0]]])
    mask = torch.tensor([[True, True], [True, False]])
    assert mean_of_real(features, mask).tolist() == [[2.0, 3.0], [5.0, 6.0]]
    assert mean_of_real(features, None).shape == (2, 4)
