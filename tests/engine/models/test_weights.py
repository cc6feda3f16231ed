"""Weights: what loads, what does not fit, and what never runs."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from kdstudio.engine.models import build_model, load_weights
from kdstudio.project.errors import ModelError
from kdstudio.project.spec import ModelSpec


def net(classes: int = 4, name: str = "resnet8") -> nn.Module:
    return build_model(ModelSpec(model=name), (3, 8, 8), classes, Path(), trusted=False)


def same(first: nn.Module, second: nn.Module) -> bool:
    return all(torch.equal(a, b) for a, b in zip(first.state_dict().values(), second.state_dict().values()))


@pytest.fixture
def source() -> nn.Module:
    torch.manual_seed(3)
    model = net()
    model(torch.randn(4, 3, 8, 8))  # moves the running statistics away from where they start
    return model


def test_safetensors_file_and_student_folder(tmp_path: Path, source: nn.Module) -> None:
    save_file(source.state_dict(), tmp_path / "model.safetensors")
    for path in (tmp_path / "model.safetensors", tmp_path):
        model = net()
        assert not same(model, source)
        load_weights(model, path)
        assert same(model, source)


@pytest.mark.parametrize(
    "wrap",
    [
        lambda state: state,
        lambda state: {"state_dict": state, "epoch": 3},
        lambda state: {"model": state, "best_acc": 0.7, "opt": "sgd"},
        lambda state: {f"module.{name}": value for name, value in state.items()},
        lambda state: {"model": {f"_orig_mod.module.{name}": value for name, value in state.items()}},
        lambda state: {name: value for name, value in state.items() if "num_batches_tracked" not in name},
    ],
)
@pytest.mark.parametrize("legacy", [False, True])
def test_state_dicts(tmp_path: Path, source: nn.Module, wrap: Any, legacy: bool) -> None:
    path = tmp_path / "weights.pth"
    torch.save(wrap(source.state_dict()), path, _use_new_zipfile_serialization=not legacy)
    model = net()
    load_weights(model, path)
    images = torch.randn(2, 3, 8, 8)
    assert torch.equal(model.eval()(images), source.eval()(images))


class Malice:
    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.target,)


@pytest.mark.parametrize("form", ["torch", "legacy", "pickle"])
def test_a_malicious_pickle_is_refused_and_never_runs(tmp_path: Path, source: nn.Module, form: str) -> None:
    mark, path = tmp_path / "it-ran", tmp_path / "trap.pt"
    content = {"state_dict": source.state_dict(), "extra": Malice(mark)}
    if form == "pickle":
        path.write_bytes(pickle.dumps(content))
    else:
        torch.save(content, path, _use_new_zipfile_serialization=form == "torch")
    model = net()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with pytest.raises(ModelError, match="holds Python objects") as caught:
        load_weights(model, path)
    assert caught.value.kind == "unsafe"
    assert "safetensors" in caught.value.fix
    assert not mark.exists()
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_a_whole_saved_model_is_refused(tmp_path: Path, source: nn.Module) -> None:
    torch.save(source, tmp_path / "model.pt")
    with pytest.raises(ModelError, match="holds Python objects"):
        load_weights(net(), tmp_path / "model.pt")


def test_another_family_names_the_keys(tmp_path: Path, source: nn.Module) -> None:
    save_file(source.state_dict(), tmp_path / "a.safetensors")
    model = net(name="resnet14")
    with pytest.raises(ModelError, match=r"a\.safetensors does not fit") as caught:
        load_weights(model, tmp_path / "a.safetensors")
    assert "not in the file: layer1.1.conv1.weight" in caught.value.why
    with pytest.raises(ModelError, match="not in the model: bn1"):
        load_weights(net(name="mlp"), tmp_path / "a.safetensors")


def test_another_number_of_classes_is_explained_and_nothing_is_loaded(tmp_path: Path, source: nn.Module) -> None:
    save_file(source.state_dict(), tmp_path / "a.safetensors")
    model = net(classes=9)
    before = model.get_parameter("conv1.weight").clone()
    with pytest.raises(ModelError, match="another number of classes") as caught:
        load_weights(model, tmp_path / "a.safetensors")
    assert "fc.weight is (4, 64) in the file and (9, 64) in the model" in caught.value.why
    assert torch.equal(model.get_parameter("conv1.weight"), before)


def test_spoiled_weights_are_refused(tmp_path: Path, source: nn.Module) -> None:
    state = source.state_dict()
    state["layer2.0.conv1.weight"][0, 0, 0, 0] = float("nan")
    save_file(state, tmp_path / "a.safetensors")
    with pytest.raises(ModelError, match=r"NaN or infinite numbers in layer2\.0\.conv1\.weight"):
        load_weights(net(), tmp_path / "a.safetensors")


@pytest.mark.parametrize("name", ["a.safetensors", "a.pt"])
def test_missing_and_damaged_files(tmp_path: Path, source: nn.Module, name: str) -> None:
    path = tmp_path / name
    with pytest.raises(ModelError, match="does not exist"):
        load_weights(net(), path)
    save_file(source.state_dict(), path) if name == "a.safetensors" else torch.save(source.state_dict(), path)
    whole = path.read_bytes()
    for content in (whole[: len(whole) // 2], b"", b"hello", bytes(100), whole[:40]):
        path.write_bytes(content)
        with pytest.raises(ModelError, match=f"weights: .*{name}"):
            load_weights(net(), path)


@pytest.mark.parametrize("content", [{"epoch": 3}, [1, 2], torch.zeros(3), {}])
def test_files_without_weights(tmp_path: Path, content: Any) -> None:
    torch.save(content, tmp_path / "a.pt")
    with pytest.raises(ModelError, match="holds no state dict"):
        load_weights(net(), tmp_path / "a.pt")
