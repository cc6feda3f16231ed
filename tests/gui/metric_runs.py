"""Run folders with metrics, written without an engine: any stages, terms, events and lengths."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kdstudio.project.runs.folder import RunFolder

BEGIN = 1_700_000_000.0


@dataclass
class Story:
    """What a made run went through. Steps take `step_seconds`; a stage has `epochs` of `per_epoch` steps."""

    stages: tuple[str, ...] = ("teacher", "student", "baseline")
    terms: tuple[str, ...] = ("hard", "soft")
    weights: tuple[float, ...] = (0.1, 0.9)
    epochs: int = 6
    per_epoch: int = 10
    step_seconds: float = 0.05
    phase: str = "finished"
    batch_size: int = 64
    extra: str = ""


class RunWriter:
    """Writes `metrics.jsonl` record by record; time goes on with each step."""

    def __init__(self, folder: Path, story: Story) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.story = story
        self.run = RunFolder(folder)
        self.now = BEGIN
        self.sequence = 0
        self.run.metrics_path.write_text("")
        (folder / "experiment.yaml").write_text(self._experiment(), encoding="utf-8")
        self.write_state()

    def _experiment(self) -> str:
        story = self.story
        lines = [
            "name: made",
            f"data: {{source: digits, batch_size: {story.batch_size}}}",
            "student: {model: mlp, widths: [8]}",
            f"train: {{epochs: {story.epochs}}}",
            "objective:",
        ]
        lines += [f"  - {{term: {term}, weight: {weight}}}" for term, weight in zip(story.terms, story.weights)]
        if "soft" in story.terms:
            lines.append("teacher: {model: mlp, widths: [16]}")
        if "baseline" in story.stages:
            lines.append("baseline: true")
        return "\n".join([*lines, story.extra, ""])

    def write_state(self, **fields: Any) -> None:
        story = self.story
        total = story.epochs * story.per_epoch
        state = {
            "phase": story.phase,
            "stage": story.stages[-1],
            "step": total,
            "total_steps": total,
            "total_epochs": story.epochs,
            "started": BEGIN,
            "ended": self.now,
            "memory_bytes": 500_000_000,
            **fields,
        }
        self.run.state_path.write_text(json.dumps(state), encoding="utf-8")

    def add(self, **record: Any) -> None:
        self.sequence += 1
        with self.run.metrics_path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"seq": self.sequence, "time": self.now, **record}) + "\n")

    def event(self, event: str, stage: str, step: int, epoch: int = 0) -> None:
        self.add(split="event", event=event, stage=stage, step=step, epoch=epoch)

    def step(self, stage: str, step: int, value: float | None = None) -> None:
        """One training step; the loss falls from 3 towards 0."""
        self.now += self.story.step_seconds
        own = ("hard",) if stage != "student" else self.story.terms
        weights = (1.0,) if stage != "student" else self.story.weights
        plain = 3 * math.exp(-step / 15) + 0.1 if value is None else value
        values = {"accuracy": 0.5, "lr": 0.1}
        for term, weight in zip(own, weights):
            values[f"term.{term}"] = plain
            values[f"term.{term}.weighted"] = weight * plain
        values["loss"] = sum(values[f"term.{term}.weighted"] for term in own)
        self.add(split="train", stage=stage, step=step, epoch=step // self.story.per_epoch, values=values)

    def validate(self, stage: str, epoch: int) -> None:
        """The end of an epoch."""
        share = (epoch + 1) / self.story.epochs
        values = {"loss": 2 - 1.8 * share, "accuracy": 0.4 + 0.5 * share, "term.hard": 2 - 1.8 * share}
        if stage == "student" and "soft" in self.story.terms:
            values |= {"term.soft": 4 - 3 * share, "agreement": 0.3 + 0.6 * share, "kl": 1 - 0.9 * share}
        step = (epoch + 1) * self.story.per_epoch - 1
        self.add(split="validation", stage=stage, step=step, epoch=epoch, values=values)
        self.event("best", stage, step, epoch + 1)

    def stage(self, stage: str, epochs: int | None = None) -> None:
        """A stage from its start on."""
        self.event("stage", stage, 0)
        for epoch in range(self.story.epochs if epochs is None else epochs):
            for place in range(self.story.per_epoch):
                self.step(stage, epoch * self.story.per_epoch + place)
            self.validate(stage, epoch)


def write_run(folder: Path, story: Story | None = None) -> RunFolder:
    """A run with all stages of its story."""
    writer = RunWriter(folder, story or Story())
    for stage in writer.story.stages:
        writer.stage(stage)
    writer.write_state()
    return writer.run
