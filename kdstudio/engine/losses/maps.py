"""Losses on maps of convolutional nets: where a network looks, what its channels select, how it goes on."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

from kdstudio.engine.losses.common import (
    both,
    check_batches,
    check_maps,
    check_same_shape,
    direction,
    in_full_precision,
    upcast,
)


@in_full_precision
def attention_map(features: Tensor, power: float = 2.0) -> Tensor:
    """Spatial attention: the mean over channels of |f|^p, L2-normalised for each sample.

    Zagoruyko and Komodakis 2017, AT (1612.03928), section 3.1, with p = 2. A map of zeros gives zeros.

    Args:
        features: (B, M, H, W).
        power: p >= 1.

    Returns:
        (B, H * W).

    Raises:
        ValueError: It is no batch of maps, or p is below 1.
    """
    check_maps("attention_map", features)
    if power < 1:
        raise ValueError(f"attention_map: the power is {power}; it has to be 1 or more")
    features = upcast(features)
    energy = features.square() if power == 2 else features.abs().pow(power)
    return direction(energy.mean(dim=1).flatten(1), 1)


@in_full_precision
def attention_transfer_loss(student_features: Tensor, teacher_features: Tensor, power: float = 2.0) -> Tensor:
    """Attention transfer: the mean of squared differences of the two attention maps.

    Zagoruyko and Komodakis 2017, AT (1612.03928), equation 2, up to the constant factor that makes it a mean over
    samples and positions. Where the sizes differ, the larger features are average-pooled to the smaller before the
    attention is taken; the numbers of channels may differ.

    Args:
        student_features: (B, M, H, W).
        teacher_features: (B, M', H', W'); no gradient flows into it.
        power: p of the attention map.

    Raises:
        ValueError: They are no maps of the same samples.
    """
    check_maps("attention_transfer_loss", student_features, teacher_features)
    check_batches("attention_transfer_loss", "features", student_features, teacher_features)
    student, teacher = same_size(*both(student_features, teacher_features))
    return (attention_map(student, power) - attention_map(teacher, power)).square().mean()


@in_full_precision
def neuron_selectivity_loss(student_features: Tensor, teacher_features: Tensor) -> Tensor:
    """Neuron selectivity: squared MMD between the channels of teacher and student, with the kernel k(a, b) = (a.b)^2.

    Huang and Wang 2017, NST (1707.01219), section 4: mean k(t, t) + mean k(s, s) - 2 mean k(s, t), where the
    samples of each distribution are the network's channel maps, L2-normalised over space; the mean over the batch.
    Where the sizes differ, the larger features are average-pooled to the smaller.

    Args:
        student_features: (B, M, H, W).
        teacher_features: (B, M', H', W'); no gradient flows into it.

    Raises:
        ValueError: They are no maps of the same samples.
    """
    check_maps("neuron_selectivity_loss", student_features, teacher_features)
    check_batches("neuron_selectivity_loss", "features", student_features, teacher_features)
    sides = same_size(*both(student_features, teacher_features))
    student, teacher = (direction(side.flatten(2), 2) for side in sides)

    def kernel(first: Tensor, second: Tensor) -> Tensor:
        return (first @ second.transpose(1, 2)).square().mean()

    return kernel(teacher, teacher) + kernel(student, student) - 2 * kernel(student, teacher)


@in_full_precision
def flow_loss(student_first: Tensor, student_second: Tensor, teacher_first: Tensor, teacher_second: Tensor) -> Tensor:
    """Flow of the solution procedure: the mean squared difference of G = mean over space of f1 x f2.

    Yim et al. 2017, FSP (CVPR 2017), equations 1 and 2, up to the constant factor that makes it a mean: (M, N) inner
    products say how features of one layer turn into those of a later one. Where the two maps of one network differ in
    size, the larger is average-pooled to the smaller; the sizes of the two networks need not agree.

    Args:
        student_first, student_second: (B, M, H, W) and (B, N, H', W') of an earlier and a later layer.
        teacher_first, teacher_second: The same with the teacher's sizes; as many channels as the student's layers.

    Raises:
        ValueError: They are no maps of the same samples, or the numbers of channels differ.
    """
    check_maps("flow_loss", student_first, student_second, teacher_first, teacher_second)
    for student, teacher in ((student_first, teacher_first), (student_second, teacher_second)):
        if student.shape[:2] != teacher.shape[:2] or len(student_first) != len(student):
            raise ValueError(
                f"flow_loss: the student's maps are {tuple(student.shape)} and the teacher's {tuple(teacher.shape)}; "
                "it needs the same samples, and layers with as many channels in both networks"
            )
    flows = []
    for first, second in (
        (upcast(student_first), upcast(student_second)),
        (upcast(teacher_first.detach()), upcast(teacher_second.detach())),
    ):
        first, second = same_size(first, second)
        places = first.shape[2] * first.shape[3]
        flows.append(first.flatten(2) @ second.flatten(2).transpose(1, 2) / places)
    return (flows[0] - flows[1]).square().mean()


@in_full_precision
def factor_loss(student_factor: Tensor, teacher_factor: Tensor) -> Tensor:
    """Factor transfer: the mean absolute difference of the factors, each L2-normalised per sample.

    Kim, Park and Kwak 2018, FT (1802.04977), equation 5 with p = 1.

    Args:
        student_factor: (B, M, H, W), of the translator.
        teacher_factor: The same shape, of the paraphraser; no gradient flows into it.

    Raises:
        ValueError: They are no maps, or the shapes differ.
    """
    check_maps("factor_loss", student_factor, teacher_factor)
    check_same_shape("factor_loss", "factors", student_factor, teacher_factor, "use a translator that joins them")
    student, teacher = (direction(side.flatten(1), 1) for side in both(student_factor, teacher_factor))
    return (student - teacher).abs().mean()


@in_full_precision
def hierarchical_context_loss(student_features: Tensor, teacher_features: Tensor) -> Tensor:
    """Hierarchical context: the mean squared error at full size, and after average pooling to 4, 2 and 1.

    Chen et al. 2021, ReviewKD (2104.09044), section 3.3. The weights are 1, and 1/2, 1/4, 1/8 for the sizes 4, 2, 1 as
    far as they are smaller than the map's smaller side; the whole is divided by the sum of the weights in use.

    Args:
        student_features: (B, M, H, W); a fusion or a regressor was already applied.
        teacher_features: The same shape; no gradient flows into it.

    Raises:
        ValueError: They are no maps, or the shapes differ.
    """
    check_maps("hierarchical_context_loss", student_features, teacher_features)
    check_same_shape(
        "hierarchical_context_loss", "features", student_features, teacher_features, "use a regressor that joins them"
    )
    student, teacher = both(student_features, teacher_features)
    difference = student - teacher  # pooling is linear
    loss, total = difference.square().mean(), 1.0
    for size, weight in ((4, 1 / 2), (2, 1 / 4), (1, 1 / 8)):
        if size < min(student.shape[2:]):
            loss = loss + weight * functional.adaptive_avg_pool2d(difference, size).square().mean()
            total += weight
    return loss / total


def same_size(first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
    """Average-pools maps (..., H, W) to the smaller height and the smaller width of the two."""
    size = min(first.shape[2], second.shape[2]), min(first.shape[3], second.shape[3])
    one, other = (
        side if side.shape[2:] == size else functional.adaptive_avg_pool2d(side, size) for side in (first, second)
    )
    return one, other
