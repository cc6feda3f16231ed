"""Devices, precision, seeds and random states."""

from __future__ import annotations

import random
from collections.abc import Iterator

import numpy as np
import pytest
import torch

from kdstudio.engine.device import (
    memory_in_use,
    pick_device,
    pick_precision,
    pick_threads,
    random_states,
    restore_random_states,
    seed_everything,
)
from kdstudio.project.errors import InputError
from kdstudio.project.spec import TrainSpec

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def _states_put_back() -> Iterator[None]:
    states = random_states()
    deterministic = torch.are_deterministic_algorithms_enabled()
    yield
    restore_random_states(states)
    torch.use_deterministic_algorithms(deterministic, warn_only=True)


def draw() -> tuple[float, float, list[float]]:
    return random.random(), float(np.random.rand()), torch.rand(3).tolist()


def test_a_seed_decides_every_random_number() -> None:
    seed_everything(3, True)
    first = draw()
    assert torch.are_deterministic_algorithms_enabled()
    seed_everything(3, False)
    assert draw() == first
    assert not torch.are_deterministic_algorithms_enabled()
    seed_everything(4, False)
    assert draw() != first


@pytest.mark.parametrize("half_drawn", [False, True])
def test_random_states_survive_a_checkpoint(tmp_path, half_drawn: bool) -> None:
    seed_everything(5, True)
    if half_drawn:  # Gauss numbers come in pairs, and the second one waits
        random.gauss(0, 1)
        np.random.randn(1)
    torch.save(random_states(), tmp_path / "states.pt")
    expected = (random.gauss(0, 1), np.random.randn(3).tolist(), draw())
    seed_everything(6, True)
    restore_random_states(torch.load(tmp_path / "states.pt", weights_only=True))
    assert (random.gauss(0, 1), np.random.randn(3).tolist(), draw()) == expected


def test_devices() -> None:
    assert pick_device("cpu") == CPU
    assert pick_device("auto").type in ("cpu", "cuda")
    assert memory_in_use(CPU) == 0


@pytest.mark.skipif(torch.cuda.device_count() > 9, reason="this computer has a tenth device")
def test_a_device_that_is_not_there() -> None:
    with pytest.raises(InputError, match=r"train\.device: there is no device 'cuda:9' here") as caught:
        pick_device("cuda:9")
    assert caught.value.why == f"PyTorch sees {torch.cuda.device_count()} CUDA devices"
    assert caught.value.fix == "use auto or cpu; kdstudio doctor lists the devices"
    assert caught.value.exit_code == 2


@pytest.mark.skipif(torch.backends.mps.is_available(), reason="this computer has an mps device")
def test_no_mps() -> None:
    with pytest.raises(InputError, match="'mps'"):
        pick_device("mps")


def test_precision() -> None:
    words = {name: pick_precision(TrainSpec(precision=name), CPU) for name in ("auto", "fp32", "bf16")}
    assert words == {"auto": "no", "fp32": "no", "bf16": "bf16"}
    assert pick_precision(TrainSpec(precision="fp16"), torch.device("cuda")) == "fp16"
    with pytest.raises(InputError, match=r"train\.precision: fp16 needs a CUDA device, and this run uses cpu"):
        pick_precision(TrainSpec(precision="fp16"), CPU)


@pytest.mark.parametrize(
    ("asked", "earlier", "cores", "threads"),
    [("", 0, 8, 4), ("3", 0, 8, 3), ("spare", 0, 8, 4), ("spare", 0, 4, 3), ("spare", 0, 1, 1), ("3", 2, 8, 2)],
)
def test_threads(asked: str, earlier: int, cores: int, threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[int] = []
    monkeypatch.setattr("os.cpu_count", lambda: cores)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 4)
    monkeypatch.setattr(torch, "set_num_threads", told.append)
    assert pick_threads(asked, earlier) == threads
    assert told == ([threads] if threads != 4 else [])


def test_states_that_a_reader_put_on_a_device_come_back_to_the_cpu() -> None:
    """As `torch.load(map_location="cuda")` gives them."""

    class Elsewhere(torch.Tensor):
        def cpu(self) -> torch.Tensor:  # type: ignore[override]
            return self.as_subclass(torch.Tensor)

        def numpy(self) -> np.ndarray:  # type: ignore[override]
            raise TypeError("can't convert cuda:0 device type tensor to numpy")

    states = random_states()
    expected = draw()
    name, keys, *rest = states["numpy"]
    states["numpy"] = [name, keys.as_subclass(Elsewhere), *rest]
    restore_random_states(states)
    assert draw() == expected
