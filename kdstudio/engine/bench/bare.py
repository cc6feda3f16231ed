"""What the engine is measured against: loops as one writes them by hand."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from kdstudio.engine.data import DataBundle, preprocess_for
from kdstudio.project.spec import TrainSpec


class BareLoop:
    """The floor: fp32, inputs ready in memory, hard labels, the optimizer as PyTorch makes it.

    Args:
        student: The network.
        bundle: The samples.
        spec: Says which optimizer.
        batch: Samples of a step.
        device: Where all of it lies.
    """

    def __init__(
        self, student: nn.Module, bundle: DataBundle, spec: TrainSpec, batch: int, device: torch.device
    ) -> None:
        self.student = student.train().to(device)
        self.batch = batch
        preprocess = preprocess_for(bundle)
        self.inputs = torch.cat([preprocess(part) for part in bundle.train.images.split(512)]).to(device)
        self.labels = bundle.train.labels.to(device)
        self.optimizer = optimizer_of(student, spec)
        self._endless = self._batches()

    def _batches(self) -> Iterator[tuple[Tensor, Tensor]]:
        while True:
            for rows in torch.randperm(len(self.labels), device=self.labels.device).split(self.batch):
                yield self.inputs[rows], self.labels[rows]

    def train(self, steps: int) -> None:
        """Takes some steps."""
        for _ in range(steps):
            inputs, labels = next(self._endless)
            loss = F.cross_entropy(self.student(inputs), labels)
            loss.backward()
            self.optimizer.step()
            self.optimizer.zero_grad()


class BareTeacher:
    """The teacher's forward pass on the same batches, and nothing else."""

    def __init__(self, teacher: nn.Module, loop: BareLoop) -> None:
        self.teacher = teacher.eval().to(loop.inputs.device)
        self.inputs, self.batch = loop.inputs, loop.batch

    def train(self, steps: int) -> None:
        """Answers some batches."""
        with torch.no_grad():
            for step in range(steps):
                start = step * self.batch % (len(self.inputs) - self.batch + 1)
                self.teacher(self.inputs[start : start + self.batch])


class UsualLoop:
    """What libraries do: torchvision's transforms image by image in a DataLoader, and the teacher at each step."""

    def __init__(
        self, teacher: nn.Module, student: nn.Module, bundle: DataBundle, spec: TrainSpec, batch: int, padding: int
    ) -> None:
        from torch.utils.data import DataLoader

        self.teacher, self.student = teacher.eval(), student.train()
        self.optimizer = optimizer_of(student, spec)
        self.loader = DataLoader(PilImages(bundle, padding), batch_size=batch, shuffle=True, drop_last=True)
        self._endless = self._batches()

    def _batches(self) -> Iterator[tuple[Tensor, Tensor]]:
        while True:
            yield from self.loader

    def train(self, steps: int) -> None:
        """Takes some steps: hard labels and soft targets at T = 4."""
        for _ in range(steps):
            inputs, labels = next(self._endless)
            with torch.no_grad():
                said = self.teacher(inputs)
            logits = self.student(inputs)
            soft = F.kl_div(F.log_softmax(logits / 4, 1), F.softmax(said / 4, 1), reduction="batchmean") * 16
            loss = 0.5 * F.cross_entropy(logits, labels) + 0.5 * soft
            loss.backward()
            self.optimizer.step()
            self.optimizer.zero_grad()


class PilImages(torch.utils.data.Dataset[tuple[Tensor, int]]):
    """Images as torchvision's data sets hold them, with its random crop, flip and normalisation."""

    def __init__(self, bundle: DataBundle, padding: int) -> None:
        from torchvision import transforms

        size = bundle.input_shape[1]
        channels = bundle.train.images.permute(0, 2, 3, 1).numpy()
        self.images = channels[..., 0] if channels.shape[-1] == 1 else channels
        self.labels = bundle.train.labels.tolist()
        self.transform = transforms.Compose(
            [
                transforms.RandomCrop(size, padding=padding),
                transforms.RandomHorizontalFlip(),
                transforms.ToTensor(),
                transforms.Normalize(bundle.mean, bundle.std),
            ]
        )

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        from PIL import Image

        return self.transform(Image.fromarray(self.images[index])), self.labels[index]


def optimizer_of(student: nn.Module, spec: TrainSpec) -> torch.optim.Optimizer:
    """The optimizer of a spec as PyTorch makes it."""
    parameters = student.parameters()
    if spec.optimizer == "adamw":
        return torch.optim.AdamW(parameters, lr=spec.lr, weight_decay=spec.weight_decay)
    return torch.optim.SGD(parameters, lr=spec.lr, momentum=spec.momentum, weight_decay=spec.weight_decay)
