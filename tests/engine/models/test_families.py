"""Every family: it maps a batch to logits, its layers have the expected names, and its size is the published one."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from kdstudio.engine.models import build_model, count_flops, count_parameters, describe, layer_names
from kdstudio.project.errors import ModelError
from kdstudio.project.spec import ModelSpec

RGB, GREY, TINY = (3, 32, 32), (1, 28, 28), (1, 8, 8)


def build(model: str, shape: tuple[int, ...] = RGB, classes: int = 10, **fields: Any) -> nn.Module:
    return build_model(ModelSpec(model=model, **fields), shape, classes, Path(), trusted=False)


@pytest.mark.parametrize("shape", [RGB, (3, 8, 8), GREY, TINY, (1, 5, 9)])
@pytest.mark.parametrize("name", ["mlp", "cnn", "resnet8", "resnet20", "wrn-10-1", "wrn-16-2"])
def test_shapes(name: str, shape: tuple[int, ...]) -> None:
    model = build(name, shape, 7)
    assert model(torch.randn(3, *shape)).shape == (3, 7)
    assert model.eval()(torch.randn(1, *shape)).shape == (1, 7)


@pytest.mark.parametrize(
    ("name", "classes", "parameters"),
    [
        # He 2016, table 6 (in millions, 0.27 0.46 0.66 0.85 1.7), and the CIFAR-100 benchmark's table of models.
        ("resnet20", 10, 272_474),
        ("resnet32", 10, 466_906),
        ("resnet44", 10, 661_338),
        ("resnet56", 10, 855_770),
        ("resnet110", 10, 1_730_714),
        ("resnet20", 100, 278_324),
        ("resnet56", 100, 861_620),
        ("wrn-16-2", 100, 703_284),
        ("wrn-40-1", 100, 569_780),
        ("wrn-40-2", 100, 2_255_156),
    ],
)
def test_parameters_are_the_published_ones(name: str, classes: int, parameters: int) -> None:
    assert count_parameters(build(name, classes=classes)) == parameters


def test_option_a_has_no_parameters_in_its_shortcuts() -> None:
    model = build("resnet20", args={"shortcut": "A"})
    # 0.27 M of He 2016.
    assert count_parameters(model) == 269_722
    assert model(torch.randn(2, *RGB)).shape == (2, 10)


def test_hintons_nets() -> None:
    assert count_parameters(build("mlp", GREY, widths=[1200, 1200])) == 784 * 1200 + 1200 + 1200 * 1200 + 1200 + 12_010
    assert count_parameters(build("mlp", (784,), widths=[30])) == 784 * 30 + 30 + 310


def test_resnet_layers_have_the_benchmarks_names() -> None:
    names = layer_names(build("resnet20"))
    blocks = [f"layer{stage}{part}" for stage in (1, 2, 3) for part in ("", ".0", ".1", ".2")]
    assert names == ["conv1", "bn1", *blocks, "avgpool", "fc"]
    state = build("resnet20").state_dict()
    assert {"layer2.0.downsample.0.weight", "layer3.2.bn2.running_var", "fc.bias"} <= state.keys()


def test_wide_resnet_layers_have_the_benchmarks_names() -> None:
    blocks = [f"block{stage}{part}" for stage in (1, 2, 3) for part in ("", ".layer.0", ".layer.1")]
    assert layer_names(build("wrn-16-1")) == ["conv1", *blocks, "bn1", "avgpool", "fc"]
    assert {"block2.layer.0.convShortcut.weight", "block1.layer.0.bn2.bias"} <= build("wrn-16-2").state_dict().keys()


def test_layers_of_the_plain_families() -> None:
    assert layer_names(build("mlp", widths=[5, 6, 7])) == ["hidden1", "hidden2", "hidden3", "fc"]
    assert layer_names(build("cnn", widths=[5, 6, 7])) == ["stage1", "stage2", "stage3", "avgpool", "fc"]


def test_dropout_reaches_the_layers() -> None:
    mlp = build("mlp", dropout=0.5, input_dropout=0.2)
    assert (mlp.get_submodule("dropout").p, mlp.get_submodule("input_dropout").p) == (0.5, 0.2)
    for name in ("mlp", "cnn", "wrn-10-1"):
        model = build(name, dropout=0.5)
        images = torch.randn(2, *RGB)
        assert not torch.equal(model(images), model(images))
        model.eval()
        assert torch.equal(model(images), model(images))


def test_the_seed_decides_the_weights() -> None:
    def weights(seed: int) -> torch.Tensor:
        torch.manual_seed(seed)
        return build("resnet8").get_parameter("conv1.weight")

    assert torch.equal(weights(1), weights(1))
    assert not torch.equal(weights(1), weights(2))


def test_flops() -> None:
    # Two for each multiply-add: 40.8 million multiply-adds are the usual figure for resnet20 (41 M with its shortcuts).
    assert count_flops(build("resnet20", args={"shortcut": "A"}), RGB) == pytest.approx(2 * 40.55e6, rel=1e-3)
    assert count_flops(build("mlp", (20,), widths=[30]), (20,)) == 2 * (20 * 30 + 30 * 10)


@pytest.mark.parametrize("name", ["cnn", "wrn-10-1", "timm:mobilenetv3_small_050", "torchvision:shufflenet_v2_x0_5"])
def test_flops_are_those_of_pytorchs_counter(name: str) -> None:
    model = build(name).eval()
    with FlopCounterMode(display=False) as counter:
        model(torch.zeros(1, *RGB))
    assert count_flops(model, RGB) == counter.get_total_flops()


def test_describe() -> None:
    model = build("resnet8", TINY)
    layers = {layer.name: layer for layer in describe(model, TINY)}
    assert list(layers) == layer_names(model)
    assert layers["conv1"].kind == "Conv2d"
    assert [layers[f"layer{stage}"].output_shape for stage in (1, 2, 3)] == [(16, 8, 8), (32, 4, 4), (64, 2, 2)]
    assert layers["fc"].output_shape == (10,)
    assert layers["fc"].parameters == 650
    assert sum(layers[name].parameters for name in layers if "." not in name) == count_parameters(model)


def test_describing_leaves_the_model_alone() -> None:
    model = build("resnet8", TINY)
    model.get_submodule("layer2").eval()
    modes = [module.training for module in model.modules()]
    state = {name: value.clone() for name, value in model.state_dict().items()}
    describe(model, TINY)
    count_flops(model, TINY)
    assert [module.training for module in model.modules()] == modes
    assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())
    assert not any(module._forward_hooks for module in model.modules())


def test_layers_inside_attention_are_counted() -> None:
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
    model = nn.Sequential(nn.TransformerEncoder(layer, 2, enable_nested_tensor=False))
    products = 2 * 5 * (8 * 24 + 8 * 8 + 2 * 8 * 16)
    attention = 2 * 5 * 5 * (8 + 8)
    assert count_flops(model, (5, 8)) == 2 * (products + attention)
    names = [layer.name for layer in describe(model, (5, 8))]
    assert names == ["0", "0.layers.0", "0.layers.1"]


class Attention(nn.Module):
    """Attention as transformers' models call it: with a mask or causal, and with fewer heads for keys and values."""

    def __init__(self, mode: str) -> None:
        super().__init__()
        self.mode = mode

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        query = values.expand(-1, 4, -1, -1)
        key = value = values.expand(-1, 2 if self.mode == "grouped" else 4, -1, -1)
        mask = torch.ones(6, 6, dtype=torch.bool) if self.mode == "mask" else None
        grouped = {"enable_gqa": True} if self.mode == "grouped" else {}
        causal = self.mode == "causal"
        return F.scaled_dot_product_attention(query, key, value, mask, is_causal=causal, **grouped)


@pytest.mark.parametrize("backend", [None, SDPBackend.MATH, SDPBackend.FLASH_ATTENTION])
@pytest.mark.parametrize("mode", ["plain", "mask", "causal", "grouped"])
def test_attention_counts_the_same_with_every_kernel(mode: str, backend: SDPBackend | None) -> None:
    with nullcontext() if backend is None else sdpa_kernel(backend):
        assert count_flops(Attention(mode), (1, 6, 8)) == 4 * 2 * 6 * 6 * (8 + 8)


def test_a_vision_transformer_of_timm_counts_its_attention() -> None:
    from timm.layers import set_fused_attn

    counts = []
    for fused in (False, True):
        set_fused_attn(fused)
        args = {"embed_dim": 12, "depth": 2, "num_heads": 3, "patch_size": 4, "img_size": 8}
        model = build("timm:vit_tiny_patch16_224", (3, 8, 8), args=args)
        counts.append(count_flops(model, (3, 8, 8)))
    tokens = 5
    block = 2 * tokens * 12 * (36 + 12 + 2 * 48) + 2 * 2 * tokens * tokens * 12
    patches = 2 * 4 * (3 * 16) * 12
    assert counts == [2 * block + patches + 2 * 12 * 10] * 2


@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU, nn.RNN])
def test_recurrent_layers_are_counted(kind: type[nn.RNNBase]) -> None:
    layer = kind(4, 6, num_layers=2, bidirectional=True, batch_first=True)
    matrices = sum(parameter.numel() for parameter in layer.parameters() if parameter.ndim == 2)
    assert count_flops(layer, (5, 4)) == 2 * 5 * matrices


def test_convolutions_refuse_features() -> None:
    for name in ("cnn", "resnet8", "wrn-10-1", "timm:resnet18", "torchvision:resnet18"):
        with pytest.raises(ModelError, match="takes images, and the data has features of 64 numbers"):
            build(name, (64,))


def test_unknown_arguments_are_refused() -> None:
    with pytest.raises(ModelError, match="did you mean 'shortcut'"):
        build("resnet8", args={"shortcuts": "A"})
    with pytest.raises(ModelError, match=r"args\.depth: mlp has no such argument"):
        build("mlp", args={"depth": 3})
    with pytest.raises(ModelError, match="'C' is not a choice"):
        build("resnet8", args={"shortcut": "C"})
