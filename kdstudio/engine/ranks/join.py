"""How the ranks of a run come together: started by the run itself, or by torchrun and the like."""

from __future__ import annotations

import gc
import logging
import os
import socket
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import distributed

from kdstudio.engine.device import pick_device
from kdstudio.engine.ranks.group import PATIENCE, Ranks, lost
from kdstudio.engine.ranks.workers import Workers
from kdstudio.project.errors import InputError, KDStudioError
from kdstudio.project.runs.folder import RunFolder
from kdstudio.project.runs.place import LAUNCHED_BY, SHARDED_BY, Place
from kdstudio.project.spec import Experiment, TrainSpec

logger = logging.getLogger("kdstudio")

#: Where rank 0 tells the others which run folder it works on.
_FOLDER = "folder"


def device_for(spec: TrainSpec, place: Place, size: int) -> torch.device:
    """The device of a rank.

    Args:
        spec: The training of the experiment.
        place: The rank.
        size: How many there are, or will be, on all machines.

    Raises:
        InputError: There is none for it.
    """
    device = pick_device(spec.device)
    if size == 1 or device.type == "cpu":
        return device
    if device.type != "cuda":
        raise InputError(
            f"train.devices: {size} devices are asked for, and train.device '{spec.device}' is one alone",
            fix="set train.devices to 1, or train.device to cuda, cpu or auto",
            kind="device",
        )
    if ":" in spec.device:
        raise InputError(
            f"train.devices: {size} devices are asked for, and train.device names one, '{spec.device}'",
            fix="set train.device to cuda or auto, or train.devices to 1",
            kind="device",
        )
    here = torch.cuda.device_count()
    wanted = place.local_rank + 1 if place.launched else size
    if wanted > here:
        raise InputError(
            f"train.devices: {wanted} CUDA devices are asked for on this machine, and there are {here}",
            why="each rank has a device of its own",
            fix=f"set train.devices to {here} or fewer, or start fewer ranks; kdstudio doctor lists the devices",
            kind="device",
        )
    return torch.device("cuda", place.local_rank)


def shares_weights(experiment: Experiment, ranks: Ranks) -> bool:
    """Whether the ranks share out the weights of what is trained.

    Args:
        experiment: Asks for it, with `train.sharing`.
        ranks: A launcher may have asked for it, too.

    Raises:
        InputError: The student is to write text as it learns.
    """
    asked = experiment.train.sharing == "fsdp"
    if ranks.alone:
        if asked:
            logger.info("train.sharing: there is one device, and it has the weights whole")
        return False
    if ranks.place.sharded and not asked:
        logger.info("accelerate launch asks for FSDP: the devices share out the weights, as with train.sharing: fsdp")
    if not (asked or ranks.place.sharded):
        return False
    if experiment.on_policy is not None:
        raise InputError(
            "train.sharing: the weights cannot be shared out where the student writes text as it learns (on_policy)",
            why="each device would need the whole network to write with",
            fix="set train.sharing to ddp and start without --use_fsdp, set train.devices to 1, or leave on_policy out",
            kind="device",
        )
    return True


@contextmanager
def ranks_of(
    run: RunFolder, spec: TrainSpec, size: int, arguments: list[str], on_hang: Callable[[KDStudioError], None]
) -> Iterator[Ranks]:
    """Rank 0's side: the ranks of a run, started here where no launcher has done so.

    Args:
        run: The folder.
        spec: The training of the experiment.
        size: How many there are to be; a launcher knows better.
        arguments: Words of the command line that further ranks are started with.
        on_hang: Called from another thread before the process is ended, where a rank is gone and this one hangs.

    Raises:
        InputError: There are not so many devices.
        RankLost: One has not come.
    """
    place = Place.here()
    if place.launched and size not in (1, place.size):
        logger.info("train.devices asks for %d ranks, and the launcher has started %d", size, place.size)
    size = place.size if place.launched else size
    device = device_for(spec, place, size)
    if size == 1:
        # what a launcher says of a single process would have accelerate make a group of it
        with _environment(dict.fromkeys((*LAUNCHED_BY, *_of_fsdp()), None)):
            yield Ranks()
        return
    _available()
    if place.launched:
        store = _launched_store()
        store.set(_FOLDER, str(run.path))
        with _environment(dict.fromkeys(_of_fsdp(), None)), _grouped(Ranks(place, store), store, device) as ranks:
            yield ranks
        return
    place = replace(place, size=size)
    store = distributed.TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False, timeout=PATIENCE)
    store.set(_FOLDER, str(run.path))

    def hangs(rank: int, how: str) -> None:
        error = lost(rank, size, how)
        on_hang(error)
        print(f"kdstudio: {error}", file=sys.stderr, flush=True)
        os._exit(1)

    around = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(store.port), "WORLD_SIZE": str(size)}
    if sys.platform == "linux":  # whatever the machine's name resolves to
        around["GLOO_SOCKET_IFNAME"] = os.environ.get("GLOO_SOCKET_IFNAME", "lo")
    with (
        _environment({**dict.fromkeys(_of_fsdp(), None), **around, "RANK": "0", "LOCAL_RANK": "0"}),
        Workers(run, size, around, arguments, hangs) as workers,
        _grouped(Ranks(place, store, workers.ended), store, device) as ranks,
    ):
        yield ranks


@contextmanager
def joined(place: Place) -> Iterator[tuple[Ranks, RunFolder]]:
    """Another rank's side: its place among the ranks, and the folder that rank 0 works on.

    Raises:
        InputError: The folder is not to be seen from here, or there is no device for the rank.
    """
    _available()
    store = _launched_store()
    ranks = Ranks(place, store)
    try:
        path = store.get(_FOLDER).decode()
        if not (Path(path) / "experiment.yaml").exists():
            raise InputError(
                f"rank {place.rank} sees no run folder at {path}",
                why=f"it works on the machine {socket.gethostname()}",
                fix="put the project on a file system that all machines share, at the same path",
                kind="no-run",
            )
        run = RunFolder(path)
        device = device_for(run.experiment().train, place, place.size)
    except KDStudioError as error:
        ranks.report(error)
        raise
    with _environment(dict.fromkeys(_of_fsdp(), None)), _grouped(ranks, store, device):
        yield ranks, run


@contextmanager
def _grouped(ranks: Ranks, store: Any, device: torch.device) -> Iterator[Ranks]:
    """While all ranks are there and can talk."""
    ranks.introduce()
    ranks.await_others()
    backend = "gloo"
    if device.type == "cuda":
        torch.cuda.set_device(device)
        if distributed.is_nccl_available():
            backend = "cpu:gloo,cuda:nccl"  # requests and metrics go from processor to processor
    place, hook = ranks.place, sys.excepthook
    distributed.init_process_group(
        backend,
        store=distributed.PrefixStore("group", store),
        rank=place.rank,
        world_size=place.size,
        timeout=PATIENCE,
    )
    try:
        yield ranks
    finally:
        gc.collect()  # what DDP has wrapped keeps the group
        distributed.destroy_process_group()
        sys.excepthook = hook  # it was changed, to name the rank in tracebacks


def _launched_store() -> Any:
    """The store that the environment names (MASTER_ADDR and MASTER_PORT)."""
    store, _, _ = next(iter(distributed.rendezvous("env://", timeout=PATIENCE)))
    return store


def _available() -> None:
    if not distributed.is_available():
        raise InputError(
            "train.devices: this build of PyTorch can work on one device only",
            why="it was made without torch.distributed",
            fix="set train.devices to 1, or install another build",
            kind="device",
        )


def _of_fsdp() -> list[str]:
    """What a launcher has said of FSDP: accelerate and transformers would go by it at each network they make."""
    return [name for name in os.environ if name == SHARDED_BY or name.startswith("FSDP_")]


@contextmanager
def _environment(values: Mapping[str, str | None]) -> Iterator[None]:
    """While variables of the environment are set, or missing where they are None: accelerate looks there."""
    before = {name: os.environ.get(name) for name in values}
    _set(values)
    try:
        yield
    finally:
        _set(before)


def _set(values: Mapping[str, str | None]) -> None:
    for name, value in values.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value
