"""timm and torchvision models: head, channels and image size fitted to the data."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from kdstudio.engine.models import build_model, describe, layer_names
from kdstudio.project.errors import ModelError
from kdstudio.project.spec import ModelSpec


def build(model: str, shape: tuple[int, ...] = (3, 32, 32), classes: int = 10, **fields: Any) -> nn.Module:
    return build_model(ModelSpec(model=model, **fields), shape, classes, Path(), trusted=False)


@pytest.mark.parametrize("shape", [(3, 32, 32), (1, 32, 32)])
@pytest.mark.parametrize(
    "name",
    [
        "timm:resnet10t",
        "timm:mobilenetv3_small_050",
        "timm:test_vit",
        "timm:test_convnext",
        "torchvision:resnet18",
        "torchvision:mobilenet_v3_small",
        "torchvision:squeezenet1_1",
        "torchvision:shufflenet_v2_x0_5",
        "torchvision:mnasnet0_5",
    ],
)
def test_shapes(name: str, shape: tuple[int, ...]) -> None:
    model = build(name, shape, 7)
    assert model(torch.randn(2, *shape)).shape == (2, 7)
    layers = [layer.name for layer in describe(model, shape)]
    assert len(layers) >= 4
    assert set(layers) <= set(dict(model.named_modules()))


def test_a_vit_takes_the_size_of_the_data() -> None:
    model = build("timm:test_vit", (3, 48, 48), 5)
    assert model(torch.randn(1, 3, 48, 48)).shape == (1, 5)
    names = layer_names(model)
    assert "blocks.0" in names
    assert not any(name.startswith("blocks.0.") for name in names)


def test_arguments_are_passed_on() -> None:
    assert build("timm:test_vit", args={"img_size": 32, "patch_size": 4}).patch_embed.num_patches == 64  # type: ignore[union-attr]
    assert build("torchvision:mobilenet_v2", args={"width_mult": 0.25}).get_parameter("classifier.1.bias").shape == (
        10,
    )


def test_one_channel_computes_what_three_copies_of_it_would() -> None:
    torch.manual_seed(0)
    colour = build("torchvision:resnet18").eval()
    torch.manual_seed(0)
    grey = build("torchvision:resnet18", (1, 32, 32)).eval()
    images = torch.randn(2, 1, 32, 32)
    rest = {name: value for name, value in colour.state_dict().items() if name != "conv1.weight"}
    grey.load_state_dict(rest, strict=False)
    grey.get_parameter("conv1.weight").data = colour.get_parameter("conv1.weight").sum(1, keepdim=True)
    assert torch.allclose(grey(images), colour(images.expand(-1, 3, -1, -1)), atol=1e-4)


def test_unknown_names() -> None:
    with pytest.raises(ModelError, match="did you mean 'resnet18'"):
        build("torchvision:resnet81")
    with pytest.raises(ModelError, match="timm has no model 'resnet18x'"):
        build("timm:resnet18x")


def test_wrong_arguments() -> None:
    with pytest.raises(ModelError, match=r"could not be built with wings=2") as caught:
        build("timm:resnet10t", args={"wings": 2})
    assert "wings" in caught.value.why


def test_images_that_are_too_small() -> None:
    with pytest.raises(ModelError, match="does not work on images of 8 x 8 pixels") as caught:
        build("timm:test_vit", (3, 8, 8))
    assert "patch_size" in caught.value.fix


def test_weights_that_cannot_be_fetched(monkeypatch: pytest.MonkeyPatch) -> None:
    import torchvision

    def offline(*parts: Any, **named: Any) -> None:
        raise OSError("no route")

    monkeypatch.setattr(torchvision.models, "get_model", offline)
    with pytest.raises(ModelError, match="could not be fetched") as caught:
        build("torchvision:resnet18", pretrained=True)
    assert caught.value.kind == "download"


def test_published_weights_need_three_channels(monkeypatch: pytest.MonkeyPatch) -> None:
    import torchvision

    get_model = torchvision.models.get_model
    monkeypatch.setattr(torchvision.models, "get_model", lambda name, weights, **named: get_model(name, weights=None))
    assert build("torchvision:resnet18", (1, 32, 32), pretrained=True)(torch.randn(2, 1, 32, 32)).shape == (2, 10)
    with pytest.raises(ModelError, match="are for 3 channels, and the images have 2"):
        build("torchvision:resnet18", (2, 32, 32), pretrained=True)
