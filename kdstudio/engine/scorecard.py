"""The scorecard: teacher, student and baseline side by side, and what distillation gave."""

from __future__ import annotations

import json
import math
import platform
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from kdstudio import __version__
from kdstudio.engine.data import DataBundle, Preprocess
from kdstudio.engine.evaluate import classification_metrics, fidelity, predict
from kdstudio.engine.models import count_flops, count_parameters
from kdstudio.engine.samples import write_samples
from kdstudio.engine.speed import measure_speed
from kdstudio.engine.student_io import (
    DESCRIPTION,
    WEIGHTS,
    Student,
    load_student,
    require_same_data,
    student_folder,
)
from kdstudio.engine.text.language_eval import language_metrics
from kdstudio.engine.text.written import keep_written
from kdstudio.project.errors import InputError, ModelError
from kdstudio.project.runs.folder import RunFolder, write_bytes
from kdstudio.project.spec import EvaluateSpec

Progress = Callable[[str, int, int], None]
#: The processor is slow beside a GPU, and its figures are a second opinion.
CPU_REPEATS = 10
SHORT = {"accuracy": "acc", "perplexity": "ppl", "f1": "F1"}
WORDS = {"accuracy": "accuracy", "perplexity": "perplexity", "f1": "F1 score"}


def networks_of(run: RunFolder, trusted: bool = False, derived: str | None = None) -> dict[str, tuple[Path, Student]]:
    """The finished networks of a run: `student`, and where there are any `teacher`, further teachers (`teacher-2`...),
    assistants (`assistant-1`...) and `baseline`. With `derived` that derived student stands in the student's place.

    Raises:
        InputError: The run has no student yet.
        ModelError: A folder is damaged or gone.
    """
    folders = {"student": student_folder(run, derived)}
    experiment = run.experiment()
    for name in ["teacher", *(f"teacher-{number + 2}" for number in range(len(experiment.teachers)))]:
        reference = run.path / f"{name}.json"
        if not reference.exists():
            continue
        try:
            said = json.loads(reference.read_text(encoding="utf-8"))["folder"]
            folders[name] = (run.path / said).resolve()
        except (OSError, ValueError, KeyError, TypeError):
            raise ModelError(
                f"{run.name}/{name}.json: cannot be read", fix="run the experiment again", kind="damaged"
            ) from None
    for number in range(experiment.links_before):
        folders[f"assistant-{number + 1}"] = run.path / f"assistant-{number + 1}"
    if (run.baseline_dir / DESCRIPTION).exists():
        folders["baseline"] = run.baseline_dir
    return {name: (folder, _loaded(name, folder, trusted)) for name, folder in folders.items()}


def _loaded(name: str, folder: Path, trusted: bool) -> Student:
    try:
        return load_student(folder, trusted)
    except InputError as error:
        if error.kind == "untrusted":
            raise
        raise ModelError(
            f"{name}: the network that this run used cannot be read from {folder}",
            why=error.what,
            fix="put that folder back, or run the experiment again",
            kind="damaged",
        ) from None


def score_run(
    run: RunFolder,
    bundle: DataBundle,
    device: torch.device,
    *,
    trusted: bool = False,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Measures a run's networks and writes `scorecard.json`, `evaluation.safetensors` and `report.html`.

    Args:
        run: A run with a finished student.
        bundle: Its data.
        device: Where to measure.
        trusted: Whether the project's Python files may run.
        progress: Called as `progress(label, done, total)`.
    """
    from kdstudio.engine.report import write_report

    experiment = run.experiment()
    networks = networks_of(run, trusted)
    for _, network in networks.values():
        require_same_data(network, bundle)
    scorecard = build_scorecard(networks, bundle, device, experiment.evaluate, progress)
    scorecard["run"] = run.name
    scorecard["metric"] = metric_of(scorecard["networks"]["student"][scorecard["reported_split"]])
    scorecard["experiment"] = experiment.name
    scorecard["seed"] = experiment.train.seed
    if not bundle.is_language:
        write_samples(run, scorecard, {name: network for name, (_, network) in networks.items()}, bundle, device)
    elif bundle.text is not None and bundle.text.task == "causal-lm":
        keep_written(run, networks, bundle, device, progress or (lambda label, done, total: None))
    write_bytes(run.scorecard_path, json.dumps(plain(scorecard), indent=1, allow_nan=False).encode())
    write_report(run, plain(scorecard))
    return plain(scorecard)


def build_scorecard(
    networks: dict[str, tuple[Path, Student]],
    bundle: DataBundle,
    device: torch.device,
    spec: EvaluateSpec,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """The scorecard as plain data; see `score_run`. Figures of the headline are on test data where it is measured."""
    tell = progress or (lambda label, done, total: None)
    splits = {"validation": bundle.validation, **({"test": bundle.test} if spec.test else {})}
    entries: dict[str, dict[str, Any]] = {}
    logits: dict[str, dict[str, Tensor]] = {}
    total = len(networks) * len(splits)
    for name, (folder, network) in networks.items():
        network.model.to(device)
        entries[name] = {
            "model": network.spec.model,
            "parameters": count_parameters(network.model),
            "flops": count_flops(network.model, network.input_shape),
            "file_bytes": (folder / WEIGHTS).stat().st_size,
        }
        logits[name] = {}
        for split_name, split in splits.items():
            tell(f"scoring the {name}", len(entries) * len(splits) - len(splits) + len(logits[name]), total)
            if bundle.text is not None and bundle.is_language:
                teacher = networks["teacher"][1].model if "teacher" in networks and name != "teacher" else None
                model = network.model
                if teacher is not None:
                    teacher.to(device)
                entries[name][split_name] = language_metrics(
                    model, teacher, split.images, bundle.text, device, labels=split.labels
                )
                logits[name][split_name] = torch.empty(0)
                continue
            preprocess = Preprocess.from_dict(network.preprocess.to_dict()).to(device)
            found = predict(network.model, preprocess, split, device)
            logits[name][split_name] = found
            entries[name][split_name] = classification_metrics(found, split.labels, bundle.classes)
    for name in logits if not bundle.is_language else []:
        if not name.startswith("teacher") and "teacher" in logits:
            for split_name in splits:
                entries[name][split_name]["fidelity"] = fidelity(
                    logits[name][split_name], logits["teacher"][split_name]
                )
    if spec.latency:
        tell("measuring speed", 0, 1)
        models = {name: network.model for name, (_, network) in networks.items()}
        shape = networks["student"][1].input_shape
        for name, speed in measure_speed(models, shape, device, spec.latency_batch, spec.repeats).items():
            entries[name]["speed"] = speed
        if device.type != "cpu":  # a student that is made on a GPU is often to run without one
            tell("measuring speed on the processor", 0, 1)
            processor = torch.device("cpu")
            for model in models.values():
                model.to(processor)
            few = min(spec.repeats, CPU_REPEATS)
            for name, speed in measure_speed(models, shape, processor, spec.latency_batch, few).items():
                entries[name]["speed_cpu"] = speed
    reported = "test" if spec.test else "validation"
    assistants = [name for name in entries if name.startswith("assistant")]
    return {
        "version": 1,
        "created": time.time(),
        "reported_split": reported,
        "classes": bundle.classes,
        "data": {
            "name": bundle.name,
            "counts": {name: sum(counts) for name, counts in bundle.counts().items()},
            "left_out": [bundle.classes[label] for label in bundle.left_out],
            "problems": bundle.problems,
        },
        "networks": entries,
        "chain": [name for name in ("teacher", *assistants, "student") if name in entries] if assistants else [],
        "headline": headline(entries, reported),
        "environment": {
            "kdstudio": __version__,
            "torch": str(torch.__version__),
            "python": platform.python_version(),
            "device": torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
            "threads": torch.get_num_threads(),
        },
    }


def metric_of(figures: dict[str, Any]) -> str:
    """What a network's score is: perplexity of language models, F1 of taggers, else accuracy."""
    return next((name for name in ("perplexity", "f1") if name in figures), "accuracy")


def headline(entries: dict[str, dict[str, Any]], split: str) -> dict[str, float | None]:
    """The figures that people quote.

    Returns:
        `score` of the student: accuracy, F1 of a tagger, or perplexity of a language model, where less is better; with
        a teacher `keeps` (retention: student score / teacher score, the other way round for perplexity), `smaller_by`
        and `faster_by` (shares: 0.9 is 90 % fewer parameters, 90 % less time per sample in batches), `agreement`; with
        a baseline `gain` (how much better the student's score is).
    """
    student, teacher, baseline = entries["student"], entries.get("teacher"), entries.get("baseline")
    metric = metric_of(student[split])
    score = student[split][metric]
    found: dict[str, float | None] = {"score": score}
    if teacher is not None:
        reference = teacher[split][metric]
        better, worse = (reference, score) if metric == "perplexity" else (score, reference)
        found["keeps"] = better / worse if worse else None
        found["smaller_by"] = 1 - student["parameters"] / teacher["parameters"] if teacher["parameters"] else None
        found["agreement"] = student[split]["fidelity"]["agreement"]
        if "speed" in student:
            rates = [entry["speed"]["throughput"]["median"] for entry in (student, teacher)]
            found["faster_by"] = 1 - rates[1] / rates[0]
    if baseline is not None:
        gain = score - baseline[split][metric]
        found["gain"] = -gain if metric == "perplexity" else gain
    return found


def summary_lines(scorecard: dict[str, Any]) -> list[str]:
    """The scorecard as a small table for a terminal."""
    split = scorecard["reported_split"]
    wide = max(10, *map(len, scorecard["networks"]))
    language = scorecard.get("metric") == "perplexity"
    metric = scorecard.get("metric", "accuracy")
    title = f"{split} {SHORT[metric]}"
    lines = [f"{'':{wide}} {title:>14} {'parameters':>12} {'ECE':>7} {'samples/s':>11}  agreement"]
    for name, entry in scorecard["networks"].items():
        metrics = entry[split]
        speed = f"{entry['speed']['throughput']['median']:,.0f}" if "speed" in entry else "-"
        agreement = f"{metrics['fidelity']['agreement']:.1%}" if "fidelity" in metrics else ""
        ece = "-" if metrics.get("ece") is None else f"{metrics['ece']:.3f}"
        score = f"{metrics['perplexity']:.2f}" if language else f"{metrics[metric]:.2%}"
        lines.append(f"{name:{wide}} {score:>14} {entry['parameters']:>12,} {ece:>7} {speed:>11}  {agreement}")
    head = scorecard["headline"]
    words = []
    if head.get("keeps") is not None:
        words.append(f"keeps {head['keeps']:.1%} of the teacher's {WORDS[metric]}")
    if head.get("smaller_by") is not None:
        words.append(f"{head['smaller_by']:.1%} smaller")
    if head.get("faster_by") is not None:
        faster = head["faster_by"]
        words.append(f"{faster:.1%} less time per sample" if faster >= 0 else f"{-faster:.1%} more time per sample")
    if head.get("gain") is not None:
        gain = f"{100 * head['gain']:+.2f} points against"
        if language:
            gain = f"{abs(head['gain']):.2f} {'less' if head['gain'] >= 0 else 'more'} perplexity than"
        words.append(f"{gain} hard labels alone")
    for name, entry in scorecard["networks"].items():
        spoiled = entry[split].get("not_finite", 0)
        if spoiled:
            lines.append(f"{name}: NaN or infinite outputs for {spoiled} of {entry[split]['count']} samples: wrong")
    return [*lines, *_chain_lines(scorecard), *([", ".join(words)] if words else [])]


def _chain_lines(scorecard: dict[str, Any]) -> list[str]:
    """The score at each link of a chain, on every split that was scored."""

    def told(metrics: dict[str, Any]) -> str:
        return f"{metrics['perplexity']:.2f}" if "perplexity" in metrics else f"{metrics[metric_of(metrics)]:.2%}"

    links = [(name, scorecard["networks"][name]) for name in scorecard.get("chain", [])]
    return [
        f"chain, {split}: " + " -> ".join(f"{name} {told(entry[split])}" for name, entry in links)
        for split in ("validation", "test")
        if links and all(split in entry for _, entry in links)
    ]


def plain(data: Any) -> Any:
    """Plain JSON data: a figure that is not finite becomes null."""
    if isinstance(data, dict):
        return {key: plain(value) for key, value in data.items()}
    if isinstance(data, (list, tuple)):
        return [plain(value) for value in data]
    if isinstance(data, float) and not math.isfinite(data):
        return None
    return data
