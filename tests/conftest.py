"""What all tests share: settings of their own, and a check that nothing is left behind."""

from __future__ import annotations

import gc
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

# Before torch is loaded, and for all child processes: several tests run at once, and threads that wait for a core spin.
os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture(scope="module", autouse=True)
def what_is_there_is_not_looked_through_again() -> None:
    """Sets aside what earlier modules have left, libraries for the most part, for collections and searches of objects.

    A process that has loaded torch and transformers holds a million objects, and tests of the window look for timers.
    """
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def own_settings(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No test reads or writes the settings and downloads of the person who runs it; child processes inherit this."""
    home = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("KDSTUDIO_CONFIG", str(home / "config"))
    monkeypatch.setenv("KDSTUDIO_CACHE", str(home / "cache"))
    return home


def _threads() -> set[threading.Thread]:
    return {thread for thread in threading.enumerate() if thread.is_alive()}


def _children() -> set[psutil.Process]:
    found = set()
    for child in psutil.Process().children(recursive=True):
        try:
            if child.status() != psutil.STATUS_ZOMBIE:
                found.add(child)
        except psutil.Error:
            pass
    return found


def _hooks() -> dict[str, Any]:
    from_torch = sys.modules.get("torch.nn.modules.module")
    return {
        "excepthook": sys.excepthook,
        "thread excepthook": threading.excepthook,
        "SIGINT": signal.getsignal(signal.SIGINT),
        "SIGTERM": signal.getsignal(signal.SIGTERM),
        "log handlers": list(logging.getLogger("kdstudio").handlers),
        "global forward hooks": len(from_torch._global_forward_hooks) if from_torch else 0,
    }


@pytest.fixture(autouse=True)
def nothing_left_behind(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fails a test that leaks a thread, a child process, a signal handler, a log handler or an exception hook."""
    threads, children, hooks = _threads(), _children(), _hooks()
    yield
    deadline = time.monotonic() + 60  # a busy machine takes a while to end a process
    while time.monotonic() < deadline:
        # libraries keep pools of daemon threads; ours all carry a name
        left = [t for t in _threads() - threads if not t.daemon or t.name.startswith("kdstudio")]
        born = _children() - children
        if not left and not born:
            break
        time.sleep(0.05)
    assert not left, f"threads left behind: {[thread.name for thread in left]}"
    assert not born, f"processes left behind: {[child.cmdline() for child in born]}"
    now = _hooks()
    changed = [name for name, value in hooks.items() if now[name] != value]
    if hooks["global forward hooks"] == 0 and now["global forward hooks"] == 0 and "global forward hooks" in changed:
        changed.remove("global forward hooks")
    assert not changed, f"left changed: {changed}"
