"""Writing: a causal language model goes on with a text, in the same way for the same seed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from kdstudio.engine.text.network import TextNetwork
from kdstudio.engine.text.tokens import quiet


def write(
    network: TextNetwork,
    prompts: Tensor,
    tokens: int,
    seed: int,
    temperature: float = 1.0,
    top_k: int | None = None,
) -> Tensor:
    """Goes on with each prompt by a number of tokens. The network is left in the mode that it was in.

    A text that outgrows the blocks that the network learned from goes on from the last half of such a block. An end
    token is a token like others, as it is in the packed blocks of a corpus.

    Args:
        network: Of the task causal-lm.
        prompts: int64 (B, P), P > 0, on the network's device.
        tokens: How many to write.
        seed: Of what is drawn; the random states of the process stay as they are.
        temperature: Divides the logits; 0 takes the likeliest token.
        top_k: Draws among so many of the likeliest; None for all.

    Returns:
        int64 (B, P + tokens), the prompts with what was written.
    """
    longest = max(2, network.facts.max_tokens)
    ids, left, training = prompts, tokens, network.training
    devices = [prompts.device] if prompts.device.type == "cuda" else []
    network.eval()
    try:
        with torch.random.fork_rng(devices), torch.no_grad(), quiet(), plain_settings(network):
            torch.manual_seed(seed)
            while left > 0:
                context = ids if ids.shape[1] < longest else ids[:, -max(1, longest // 2) :]
                count = min(left, longest - context.shape[1])
                whole = network.inner.generate(
                    context,
                    attention_mask=torch.ones_like(context),
                    generation_config=settings(network, count, temperature, top_k),
                )
                ids = torch.cat([ids, whole[:, context.shape[1] :]], dim=1)
                left -= count
    finally:
        network.train(training)
    return ids


def settings(network: TextNetwork, tokens: int, temperature: float, top_k: int | None = None) -> object:
    """The library's settings for writing exactly so many tokens."""
    from transformers import GenerationConfig

    chosen: dict[str, object] = {"do_sample": False}
    if temperature > 0:
        chosen = {"do_sample": True, "temperature": temperature, "top_k": top_k or 0, "top_p": 1.0}
    return GenerationConfig(max_new_tokens=tokens, pad_token_id=network.facts.filler, use_cache=True, **chosen)


@contextmanager
def plain_settings(network: TextNetwork) -> Iterator[None]:
    """Without the settings that came with a model: they fill in what `settings` leaves open, its end token too."""
    from transformers import GenerationConfig

    own = network.inner.generation_config
    network.inner.generation_config = GenerationConfig(pad_token_id=network.facts.filler)
    try:
        yield
    finally:
        network.inner.generation_config = own
