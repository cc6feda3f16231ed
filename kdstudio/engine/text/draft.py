"""Speculative decoding: a small network drafts, the teacher checks several tokens in one pass; measured.

Leviathan, Kalman and Matias 2023, Fast Inference from Transformers via Speculative Decoding (2211.17192). The text that
comes out is the teacher's: what it would write greedily, or drawn from its own distribution.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from kdstudio.engine.counters import mix
from kdstudio.engine.data import DataBundle
from kdstudio.engine.models.layers import count_parameters
from kdstudio.engine.text.generate import plain_settings, settings
from kdstudio.engine.text.language_eval import language_metrics
from kdstudio.engine.text.network import TextNetwork
from kdstudio.engine.text.tokens import quiet
from kdstudio.project.errors import InputError

#: Greedy writing, and drawing from the distribution as it is.
MODES = {"sampled": 1.0, "greedy": 0.0}
_DRAWN = 71
Progress = Callable[[str, int, int], None]


@dataclass
class Rounds:
    """What was seen of assisted writing.

    Attributes:
        planned: Tokens that a full round drafts, g.
        drafted, accepted: Of each round, how many tokens were drafted and how many of them the teacher took.
        passes: Forward passes of the teacher.
        written: Tokens that came out.
        seconds, alone: Of each text, with the draft and by the teacher alone.
        draft_seconds: Of each text, by the drafting network alone.
    """

    planned: int
    drafted: list[int] = field(default_factory=list)
    accepted: list[int] = field(default_factory=list)
    passes: int = 0
    written: int = 0
    seconds: list[float] = field(default_factory=list)
    alone: list[float] = field(default_factory=list)
    draft_seconds: list[float] = field(default_factory=list)

    def figures(self) -> dict[str, Any]:
        """As plain data.

        Returns:
            `drafted`, `accepted`, `passes`, `written` (totals), `accepted_share` (accepted / drafted), `acceptance`
            (the chance that a token which the teacher looked at was taken: those behind a refused one are not looked
            at),
            `tokens_per_pass` of full rounds, `expected_tokens_per_pass` by that acceptance, `gain` (median time of the
            teacher alone / median time with the draft), `cost` (time of the drafting network a token / the teacher's)
            and `expected_gain` by both (theorem 3.8). None where there is nothing to divide by.
        """
        taken, total = sum(self.accepted), sum(self.drafted)
        refused = sum(some < many for some, many in zip(self.accepted, self.drafted))
        full = [some for some, many in zip(self.accepted, self.drafted) if many == self.planned]
        acceptance = taken / (taken + refused) if taken + refused else None
        alone = statistics.median(self.alone)
        cost = statistics.median(self.draft_seconds) / alone
        expected = None if acceptance is None else tokens_per_step(acceptance, self.planned)
        return {
            "drafted": total,
            "accepted": taken,
            "passes": self.passes,
            "written": self.written,
            "accepted_share": taken / total if total else None,
            "acceptance": acceptance,
            "tokens_per_pass": statistics.fmean(full) + 1 if full else None,
            "expected_tokens_per_pass": expected,
            "gain": alone / statistics.median(self.seconds),
            "cost": cost,
            "expected_gain": None if expected is None else expected / (self.planned * cost + 1),
        }


def tokens_per_step(acceptance: float, planned: int) -> float:
    """Tokens that a pass of the teacher is expected to give: (1 - a^(g+1)) / (1 - a) (2211.17192, equation 1)."""
    if acceptance >= 1:
        return float(planned + 1)
    return (1 - acceptance ** (planned + 1)) / (1 - acceptance)


def assisted(
    teacher: TextNetwork, drafter: TextNetwork, prompt: Tensor, tokens: int, planned: int, temperature: float, seed: int
) -> tuple[Tensor, Rounds]:
    """Writes as the teacher does, with another network's drafts.

    Args:
        teacher, drafter: In eval mode, with the same tokenizer.
        prompt: int64 (1, P).
        tokens: How many to write; with the prompt no more than a block has.
        planned: Tokens to draft in a round, g.
        temperature: 0 for greedy.
        seed: Of what is drawn.

    Returns:
        int64 (1, P + tokens), and what was seen, without times.
    """
    rounds = Rounds(planned)
    with _drafts(drafter, planned), _watched(teacher, rounds):
        ids = _written(teacher, prompt, tokens, temperature, seed, assistant_model=drafter.inner)
    rounds.written = ids.shape[1] - prompt.shape[1]
    return ids, rounds


def _written(network: TextNetwork, prompt: Tensor, tokens: int, temperature: float, seed: int, **more: Any) -> Tensor:
    devices = [prompt.device] if prompt.device.type == "cuda" else []
    with torch.random.fork_rng(devices), torch.no_grad(), quiet(), plain_settings(network):
        torch.manual_seed(seed)
        found: Tensor = network.inner.generate(
            prompt,
            attention_mask=torch.ones_like(prompt),
            generation_config=settings(network, tokens, temperature),
            **more,
        )
    return found


@contextmanager
def _drafts(drafter: TextNetwork, planned: int) -> Iterator[None]:
    """Has a network draft the same number of tokens in each round, however sure it is."""
    with plain_settings(drafter):
        own = drafter.inner.generation_config
        own.num_assistant_tokens = planned
        own.num_assistant_tokens_schedule = "constant"
        own.assistant_confidence_threshold = 0.0
        yield


@contextmanager
def _watched(teacher: TextNetwork, rounds: Rounds) -> Iterator[None]:
    """Counts the teacher's passes, and what it takes of each draft where the library tells its drafting part."""
    inner = teacher.inner
    make = inner._get_candidate_generator

    def watched(*arguments: Any, **named: Any) -> Any:
        generator = make(*arguments, **named)
        told = generator.update_candidate_strategy

        def count(ids: Tensor, scores: Tensor, matches: int) -> None:
            rounds.drafted.append(scores.shape[1] - 1)
            rounds.accepted.append(int(matches))
            told(ids, scores, matches)

        generator.update_candidate_strategy = count
        return generator

    def passed(*_: Any) -> None:
        rounds.passes += 1

    handle = inner.register_forward_hook(passed)
    inner._get_candidate_generator = watched
    try:
        yield
    finally:
        del inner._get_candidate_generator
        handle.remove()


def measure(
    teacher: TextNetwork,
    drafters: Mapping[str, TextNetwork],
    prompts: Tensor,
    tokens: int,
    planned: int,
    device: torch.device,
    seed: int = 0,
    progress: Progress | None = None,
) -> dict[str, dict[str, Any]]:
    """What each network is worth as a draft for the teacher.

    All ways to write take turns on each prompt, each prompt in another order, so that what else the machine does falls
    on all of them alike.

    Args:
        teacher, drafters: Networks of one run.
        prompts: int (N, P).
        tokens: How many to write from each.
        planned: Tokens to draft in a round, g.
        device: Where to measure.
        seed: Of what is drawn.
        progress: Called as `progress(label, done, total)`.

    Returns:
        For each drafter `parameters` and for each of `MODES` what `Rounds.figures` says.
    """
    for network in (teacher, *drafters.values()):
        network.to(device).eval()
    found = {name: {mode: Rounds(planned) for mode in MODES} for name in drafters}
    steps = [(mode, number) for mode in MODES for number in range(-1, len(prompts))]
    for done, (mode, number) in enumerate(steps):
        if progress is not None:
            progress("drafting", done, len(steps))
        prompt = prompts[max(0, number)].long()[None].to(device)
        drawn = mix(seed, _DRAWN, max(0, number)) >> 1
        for name, seconds, rounds in _turns(teacher, drafters, prompt, tokens, planned, MODES[mode], drawn, number):
            if number < 0:  # what is done for the first time takes longer
                continue
            if rounds is not None:
                seen = found[name][mode]
                seen.drafted += rounds.drafted
                seen.accepted += rounds.accepted
                seen.passes += rounds.passes
                seen.written += rounds.written
                seen.seconds.append(seconds)
            elif name:
                found[name][mode].draft_seconds.append(seconds)
            else:
                for each in found.values():
                    each[mode].alone.append(seconds)
    return {
        name: {
            "parameters": count_parameters(drafters[name]),
            **{mode: rounds.figures() for mode, rounds in modes.items()},
        }
        for name, modes in found.items()
    }


def _turns(
    teacher: TextNetwork,
    drafters: Mapping[str, TextNetwork],
    prompt: Tensor,
    tokens: int,
    planned: int,
    temperature: float,
    seed: int,
    turn: int,
) -> Iterator[tuple[str, float, Rounds | None]]:
    """Each way to write once: name, seconds, rounds; without rounds that network alone, without a name the teacher."""

    def alone(network: TextNetwork) -> Rounds | None:
        _written(network, prompt, tokens, temperature, seed)
        return None

    def with_draft(network: TextNetwork) -> Rounds | None:
        return assisted(teacher, network, prompt, tokens, planned, temperature, seed)[1]

    ways: list[tuple[str, Callable[[TextNetwork], Rounds | None], TextNetwork]] = [("", alone, teacher)]
    for name, network in drafters.items():
        ways += [(name, with_draft, network), (name, alone, network)]
    for place in range(len(ways)):
        name, way, network = ways[(place + turn) % len(ways)]
        _wait(prompt.device)
        began = time.perf_counter()
        rounds = way(network)
        _wait(prompt.device)
        yield name, time.perf_counter() - began, rounds


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def draft_report(
    models: Mapping[str, TextNetwork],
    bundle: DataBundle,
    split: str,
    texts: int,
    planned: int,
    device: torch.device,
    seed: int = 0,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """The student, and the baseline where there is one, as drafts for the teacher.

    Args:
        models: The networks of a run by name.
        bundle: Its data.
        split: Where texts begin from, and the estimate is made on.
        texts: How many are written.
        planned, device, seed, progress: See `measure`.

    Returns:
        `planned`, `texts`, `prompt_tokens`, `tokens`, `split`, and `networks`: what `measure` says of each, with
        `estimate`, the mean of 1 - TVD over the positions of the split (theorem 3.5), and `estimated_tokens_per_pass`.

    Raises:
        InputError: Blocks are too short for a draft.
    """
    assert bundle.text is not None
    teacher = models["teacher"]
    blocks, length = bundle.splits[split].images, bundle.input_shape[0]
    prompt = max(1, length // 4)
    if length - prompt < planned + 1:
        raise InputError(
            f"--tokens: drafts of {planned} tokens do not fit",
            why=f"a sample has {length} tokens, {prompt} of them to begin with",
            fix=f"give {max(1, length - prompt - 1)} or less",
        )
    places = torch.linspace(0, len(blocks) - 1, min(texts, len(blocks))).long()
    drafters = {name: models[name] for name in ("student", "baseline") if name in models}
    for model in models.values():
        model.to(device)
    estimates = {
        name: language_metrics(model, teacher, blocks, bundle.text, device)["fidelity"]["acceptance"]
        for name, model in drafters.items()
    }
    prompts = blocks[places][:, :prompt]
    found = measure(teacher, drafters, prompts, length - prompt, planned, device, seed, progress)
    for name, entry in found.items():
        entry["estimate"] = estimates[name]
        entry["estimated_tokens_per_pass"] = tokens_per_step(estimates[name], planned)
    return {
        "planned": planned,
        "texts": len(places),
        "prompt_tokens": prompt,
        "tokens": length - prompt,
        "split": split,
        "networks": found,
    }
