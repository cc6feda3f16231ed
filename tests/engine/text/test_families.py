"""Every architecture that is promised: heads, taps, padding, students of its layers, and folders that load again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import (
    AutoModelForCausalLM,
    AutoModelForMaskedLM,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
)

from kdstudio.engine.data.views import TokenPreprocess
from kdstudio.engine.models import build_model
from kdstudio.engine.student_io import load_student, save_student
from kdstudio.engine.taps import Taps
from kdstudio.engine.text.build import block_names, from_teacher, head_names
from kdstudio.engine.text.facts import TextFacts
from kdstudio.engine.text.families import heads_of
from kdstudio.engine.text.network import TextNetwork
from kdstudio.project.errors import ModelError
from kdstudio.project.kept_layers import chosen_layers
from kdstudio.project.spec import LayersSpec, ModelSpec

VOCABULARY, TOKENS, PAD = 120, 12, 1
HIDDEN = {"hidden_size": 32, "num_hidden_layers": 4, "num_attention_heads": 4, "intermediate_size": 48}
GROUPED = {**HIDDEN, "num_key_value_heads": 2}
#: Kind: its configuration, and the tasks that it is for.
TAGS = ("O", "B-A", "I-A")
LABELLED = ("classification", "token-classification")
ENCODER, DECODER = (*LABELLED, "masked-lm"), (*LABELLED, "causal-lm")
BOTH = (*ENCODER, "causal-lm")
KINDS: dict[str, tuple[dict[str, Any], tuple[str, ...]]] = {
    "bert": (HIDDEN, BOTH),
    "roberta": (HIDDEN, BOTH),
    "electra": ({**HIDDEN, "embedding_size": 16}, BOTH),
    "distilbert": ({"dim": 32, "n_layers": 4, "n_heads": 4, "hidden_dim": 48}, ENCODER),
    "modernbert": ({**HIDDEN, "local_attention": 8}, ENCODER),
    "gpt2": ({"n_embd": 32, "n_layer": 4, "n_head": 4}, DECODER),
    "llama": (GROUPED, DECODER),
    "qwen2": (GROUPED, DECODER),
}
CASES = [(kind, task) for kind, (_, tasks) in KINDS.items() for task in tasks]
AUTO = {
    "classification": AutoModelForSequenceClassification,
    "token-classification": AutoModelForTokenClassification,
    "masked-lm": AutoModelForMaskedLM,
    "causal-lm": AutoModelForCausalLM,
}


def facts(task: str) -> TextFacts:
    pad = PAD if task in LABELLED else None
    tags = TAGS if task == "token-classification" else ()
    return TextFacts(task, VOCABULARY, TOKENS, pad, PAD, mask=4, special=(0, 1, 2, 3, 4), begin=0, end=2, tags=tags)


def network(kind: str, task: str, **args: Any) -> TextNetwork:
    torch.manual_seed(3)
    spec = ModelSpec(model=f"transformers:{kind}", args={**KINDS[kind][0], **args})
    outputs = 3 if task in LABELLED else VOCABULARY
    model = build_model(spec, (TOKENS,), outputs, Path(), False, facts(task))
    assert isinstance(model, TextNetwork)
    return model.eval()


def ids(count: int = 3) -> torch.Tensor:
    return torch.randint(5, VOCABULARY, (count, TOKENS), generator=torch.Generator().manual_seed(5))


@pytest.mark.parametrize(("kind", "task"), CASES)
def test_it_answers_and_its_attention_can_be_tapped(kind: str, task: str) -> None:
    model = network(kind, task)
    inputs = ids()
    rows = {"classification": 3, "causal-lm": 3 * (TOKENS - 1)}.get(task, 3 * TOKENS)
    blocks = block_names(model)
    assert len(blocks) == 4
    names = [f"{blocks[1]}#{part}" for part in ("query", "key", "value")]
    with Taps(model, [*names, blocks[-1]], "it") as taps, torch.no_grad():
        logits = model(inputs)
        found = taps.take()
    assert logits.shape == (rows, 3 if task in LABELLED else VOCABULARY)
    heads, shared = heads_of(model.config)
    width = 32 // heads
    assert found[names[0]].shape == (3, heads, TOKENS, width)
    for name in names[1:]:
        assert found[name].shape == (3, shared, TOKENS, width)
    assert found[blocks[-1]].shape == (3, TOKENS, 32)


@pytest.mark.parametrize("kind", [kind for kind, task in CASES if task == "causal-lm"])
def test_no_token_sees_those_that_follow(kind: str) -> None:
    teacher = network(kind, "causal-lm")
    first, other = ids(), ids()
    other[:, -1] = (other[:, -1] + 1) % VOCABULARY
    for model in (teacher, from_teacher(teacher, LayersSpec(count=2)).eval()):
        with torch.no_grad():
            told, again = (model(inputs).view(3, TOKENS - 1, -1) for inputs in (first, other))
        torch.testing.assert_close(told[:, :-1], again[:, :-1], atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(
    ("kind", "task", "fix"),
    [
        ("distilbert", "causal-lm", "transformers:gpt2, or set data.task to masked-lm"),
        ("modernbert", "causal-lm", "transformers:gpt2, or set data.task to masked-lm"),
        ("gpt2", "masked-lm", "transformers:bert, or set data.task to causal-lm"),
        ("llama", "masked-lm", "transformers:bert, or set data.task to causal-lm"),
    ],
)
def test_a_task_that_a_kind_cannot_do_is_told(kind: str, task: str, fix: str) -> None:
    with pytest.raises(ModelError, match=f"model: transformers:{kind} cannot do {task}") as caught:
        network(kind, task)
    assert fix in str(caught.value)


@pytest.mark.parametrize("kind", list(KINDS))
def test_padding_changes_no_answer(kind: str) -> None:
    model = network(kind, "classification")
    short = ids()[:, :7]
    filled = torch.full((3, TOKENS), PAD)
    filled[:, :7] = short
    with torch.no_grad():
        torch.testing.assert_close(model(filled), model(short), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(("kind", "task"), CASES)
@pytest.mark.parametrize("layers", [{"rule": "every-other"}, {"rule": "first", "count": 1}, {"keep": [1, 2, 3]}])
def test_a_student_is_made_of_its_layers(kind: str, task: str, layers: dict[str, Any]) -> None:
    teacher = network(kind, task)
    spec = LayersSpec(**layers)
    kept = chosen_layers(spec, 4)
    student = from_teacher(teacher, spec)
    theirs, ours = block_names(teacher), block_names(student)
    assert len(ours) == len(kept)
    source, state = teacher.state_dict(), student.state_dict()
    for place, number in enumerate(kept):
        for name in (name for name in source if name.startswith(f"{theirs[number]}.")):
            mine = name.replace(theirs[number], ours[place], 1)
            if mine in state or kind != "modernbert" or place:  # whose first block has no norm before its attention
                assert torch.equal(state[mine], source[name]), name
    inside = f"{teacher.blocks}."
    for name in (name for name in state if not name.startswith(inside)):
        assert torch.equal(state[name], source[name]), name
    with torch.no_grad():
        assert student.eval()(ids()).shape == teacher(ids()).shape
    # the student's weights are its own
    with torch.no_grad():
        next(iter(student.parameters())).add_(1.0)
    assert torch.equal(teacher.state_dict()[next(iter(source))], source[next(iter(source))])


@pytest.mark.parametrize(("kind", "task"), CASES)
def test_it_is_saved_and_loads_again_here_and_there(kind: str, task: str, tmp_path: Path) -> None:
    student = from_teacher(network(kind, task), LayersSpec(keep=[0, 3])).eval()
    classes = ["a", "b", "c"] if task == "classification" else [*facts(task).tags]
    spec = ModelSpec(model=f"transformers:{kind}")
    preprocess = TokenPreprocess(facts(task), TOKENS).to_dict()
    save_student(tmp_path / "student", student, spec, (TOKENS,), classes, preprocess, {})
    again = load_student(tmp_path / "student").model
    student.inner.save_pretrained(tmp_path / "library")
    library = AUTO[task].from_pretrained(tmp_path / "library").eval()
    inputs = ids()
    with torch.no_grad():
        wanted = student(inputs)
        torch.testing.assert_close(again(inputs), wanted, atol=1e-6, rtol=1e-5)
        arguments = {"attention_mask": torch.ones_like(inputs)} if task != "causal-lm" else {}
        logits = library(input_ids=inputs, **arguments).logits
        flat = logits if logits.ndim == 2 else logits[:, :-1] if task == "causal-lm" else logits
        torch.testing.assert_close(flat.reshape(wanted.shape), wanted, atol=1e-5, rtol=1e-4)
    if getattr(student.config, "tie_word_embeddings", False) and task not in LABELLED:
        embeddings, output = student.inner.get_input_embeddings(), student.inner.get_output_embeddings()
        assert embeddings.weight is output.weight
        inner = again.inner  # type: ignore[union-attr]
        assert inner.get_input_embeddings().weight is inner.get_output_embeddings().weight  # type: ignore[operator, union-attr]


@pytest.mark.parametrize("kind", list(KINDS))
def test_the_body_begins_where_the_head_ends(kind: str) -> None:
    for task in KINDS[kind][1]:
        model = network(kind, task)
        heads = head_names(model)
        body = [name for name in model.state_dict() if not name.startswith(heads)]
        assert heads
        assert all(name.startswith(f"{model.inner.base_model_prefix}.") for name in body)


@pytest.mark.parametrize("kind", ["llama", "qwen2"])
def test_another_width_fits_its_heads(kind: str) -> None:
    model = network(kind, "causal-lm", hidden_size=64, num_attention_heads=8)
    with Taps(model, [f"{block_names(model)[0]}#query"], "it") as taps, torch.no_grad():
        model(ids())
        (found,) = taps.take().values()
    assert found.shape == (3, 8, TOKENS, 8)


@pytest.mark.parametrize("task", ENCODER)
def test_a_slim_bert_is_a_distilbert_that_says_the_same(task: str) -> None:
    teacher = network("bert", task)
    slim = from_teacher(teacher, LayersSpec(keep=[0, 1, 2, 3], slim=True, freeze_positions=True)).eval()
    assert slim.config.model_type == "distilbert"
    if task != "classification":  # a classifier's head stands on the pooler, which is gone
        with torch.no_grad():
            torch.testing.assert_close(slim(ids()), teacher(ids()), atol=1e-5, rtol=1e-4)
    frozen = [name for name, parameter in slim.named_parameters() if not parameter.requires_grad]
    assert frozen == ["distilbert.embeddings.position_embeddings.weight"]


def test_positions_stay_where_they_are_frozen() -> None:
    student = from_teacher(network("gpt2", "causal-lm"), LayersSpec(freeze_positions=True))
    frozen = [name for name, parameter in student.named_parameters() if not parameter.requires_grad]
    assert frozen == ["transformer.wpe.weight"]


def test_where_there_are_no_positions_to_freeze_that_is_told(caplog: pytest.LogCaptureFixture) -> None:
    student = from_teacher(network("llama", "causal-lm"), LayersSpec(freeze_positions=True))
    assert all(parameter.requires_grad for parameter in student.parameters())
    assert "a llama has no position embeddings that could be frozen" in caplog.text


def test_layers_that_there_are_not_are_told() -> None:
    teacher = network("bert", "masked-lm")
    with pytest.raises(ModelError, match=r"there is no layer 4; the teacher's layers are 0 to 3"):
        from_teacher(teacher, LayersSpec(keep=[0, 4]))
    with pytest.raises(ModelError, match="5 layers, and the teacher has 4"):
        from_teacher(teacher, LayersSpec(count=5))
    with pytest.raises(ModelError, match="every other of 4 layers are 2, not 3"):
        from_teacher(teacher, LayersSpec(rule="every-other", count=3))
    with pytest.raises(ModelError, match="can be left away of a BERT, and this is a gpt2"):
        from_teacher(network("gpt2", "causal-lm"), LayersSpec(slim=True))
