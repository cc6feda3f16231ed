"""The regressor of hints (FitNets)."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from kdstudio.project.errors import ModelError
from kdstudio.project.spec import fits


class HintRegressor(nn.Module):
    """The regressor g of FitNets (1412.6550): maps the student's features to the teacher's shape.

    Linear for vectors (B, D) and tokens (B, S, D); a 1x1 convolution for maps (B, M, H, W), after average pooling
    where the student's map is larger and bilinear enlargement where it is smaller. A convolution, not the identity,
    also where the widths agree: equal width does not mean equal channels.

    Args:
        student_shape, teacher_shape: Shapes without the batch dimension.

    Raises:
        ModelError: The two shapes cannot be joined.
    """

    def __init__(self, student_shape: tuple[int, ...], teacher_shape: tuple[int, ...]) -> None:
        super().__init__()
        self.size: tuple[int, int] | None = None
        if not fits("regressor", student_shape, teacher_shape):
            raise ModelError(
                f"features of shape {student_shape} (student) and {teacher_shape} (teacher) cannot be joined",
                why="a regressor joins vector with vector, map with map, and token sequences of one length",
                fix="choose two layers of one kind",
                kind="pair",
            )
        if len(student_shape) == 3:
            self.map: nn.Module = nn.Conv2d(student_shape[0], teacher_shape[0], kernel_size=1)
            if student_shape[1:] != teacher_shape[1:]:
                self.size = (teacher_shape[1], teacher_shape[2])
        else:
            self.map = nn.Linear(student_shape[-1], teacher_shape[-1])

    def forward(self, features: Tensor) -> Tensor:
        return self.map(features if self.size is None else resized(features, self.size))


class MapNorm(nn.BatchNorm2d):
    """Batch normalisation that takes its running statistics where a batch has a single value for each channel."""

    def forward(self, features: Tensor) -> Tensor:
        if self.training and features.numel() == features.shape[1]:
            mean, variance = self.running_mean, self.running_var
            return functional.batch_norm(features, mean, variance, self.weight, self.bias, False, 0.0, self.eps)
        return super().forward(features)


def resized(features: Tensor, size: tuple[int, ...]) -> Tensor:
    """Maps (B, M, H, W) at another size: averaged where they are larger, enlarged between pixels where not."""
    height, width = features.shape[-2:]
    if (height, width) == tuple(size):
        return features
    if height >= size[0] and width >= size[1]:
        return functional.adaptive_avg_pool2d(features, (size[0], size[1]))
    return functional.interpolate(features, (size[0], size[1]), mode="bilinear", align_corners=False)
