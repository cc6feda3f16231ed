"""`kdstudio write RUN`: what teacher, student and baseline write from the same beginnings."""

from __future__ import annotations

import argparse
import json
import textwrap
from typing import Any

from kdstudio.project.errors import InputError, RunBusyError
from kdstudio.project.folder import Project
from kdstudio.project.runs.folder import RunFolder

MOST_TOKENS = 2000
MODES = {"greedy": "the likeliest tokens", "sampled": "drawn"}


def add_parser(subparsers: Any) -> None:
    parser = subparsers.add_parser(
        "write",
        help="what the language models of a run write, side by side",
        description="Teacher, student and baseline go on with the same text: by the likeliest tokens, and drawn from "
        "what they hold possible. Without a prompt it shows what they wrote after the run.",
    )
    parser.add_argument("run", help="run folder of a language model (data.task causal-lm)")
    parser.add_argument(
        "--prompt", metavar="TEXT", action="append", help="text to go on with; may be given several times"
    )
    parser.add_argument("--tokens", type=int, default=48, metavar="N", help="how many tokens to write (usual 48)")
    parser.add_argument("--temperature", type=float, default=1.0, metavar="T", help="of what is drawn (usual 0.7 to 1)")
    parser.add_argument("--top-k", type=int, metavar="K", help="draw among the K likeliest tokens only")
    parser.add_argument("--seed", type=int, default=0, help="of what is drawn")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1 or mps")
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(args: argparse.Namespace) -> int:
    folder = RunFolder.open(args.run)
    found = _written(folder, args) if args.prompt else folder.written()
    if found is None:
        raise InputError(
            f"{folder.name}: nothing was written in this run",
            why="it is not finished, or its networks are no causal language models",
            fix="give --prompt TEXT, or measure it again with kdstudio evaluate",
        )
    print(json.dumps(found) if args.json else "\n".join(lines(found)))
    return 0


def _written(folder: RunFolder, args: argparse.Namespace) -> dict[str, Any]:
    if not 1 <= args.tokens <= MOST_TOKENS:
        raise InputError(
            f"--tokens: {args.tokens} tokens cannot be written", fix=f"give a number from 1 to {MOST_TOKENS}"
        )
    if not 0 < args.temperature <= 10:
        raise InputError(f"--temperature: {args.temperature:g} is none", fix="give a number above 0, up to 10")
    if args.top_k is not None and args.top_k < 1:
        raise InputError(f"--top-k: {args.top_k} tokens are none to draw from", fix="give 1 or more")
    if folder.status().active:
        raise RunBusyError(
            f"{folder.name}: this run is still at work ({folder.status().text(folder.state()).lower()})",
            fix="wait for it, or stop it",
        )
    from kdstudio.engine.device import pick_device
    from kdstudio.engine.scorecard import networks_of
    from kdstudio.engine.text.written import continuations, tokenizer_of, writers

    device = pick_device(args.device, "--device")
    root = folder.project_root
    trusted = Project.open(root).trusted if (root / "project.yaml").exists() else False
    networks = networks_of(folder, trusted)
    models = {name: model.to(device) for name, model in writers(networks, folder.name).items()}
    tokenizer = tokenizer_of(networks["student"][0])
    prompts = tokenizer.plain(args.prompt)
    if not all(prompts):
        raise InputError("--prompt: there is nothing to go on with", fix="give at least a word")
    samples = [
        continuations(
            models,
            tokenizer,
            prompt,
            args.tokens,
            temperature=args.temperature,
            top_k=args.top_k,
            seed=args.seed,
            device=device,
        )
        for prompt in prompts
    ]
    settings = {"tokens": args.tokens, "temperature": args.temperature, "seed": args.seed}
    return {"version": 1, **settings, "samples": samples}


def lines(found: dict[str, Any]) -> list[str]:
    """For a terminal: each beginning, and below it what each network made of it."""
    texts = []
    for sample in found["samples"]:
        wide = max(map(len, sample["networks"]))
        texts.append(f"> {' '.join(sample['prompt'].split())}")
        for mode, words in MODES.items():
            texts.append(f"  {words}:")
            for name, said in sample["networks"].items():
                body = textwrap.wrap(" ".join(said[mode].split()), 88) or ["(nothing that can be read)"]
                texts.append(f"    {name:{wide}}  {body[0]}")
                texts += [f"    {'':{wide}}  {line}" for line in body[1:]]
    return texts
