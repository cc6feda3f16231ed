"""The line to the engine process: one question at a time, the newest wins, and a dead process is no disaster."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from pytestqt.qtbot import QtBot

from kdstudio.gui.engine_client import EngineClient
from kdstudio.project.errors import KDStudioError
from kdstudio.project.folder import Project

#: Answers as the real one does, without its second of start: what to do is in the question itself.
STAND_IN = """
import json, os, pathlib, queue, sys, threading, time
lines, cancelled = queue.Queue(), set()
def read():
    for line in sys.stdin:
        message = json.loads(line)
        cancelled.add(message["cancel"]) if "cancel" in message else lines.put(message)
    os._exit(0)
threading.Thread(target=read, daemon=True).start()
def say(**content):
    print(json.dumps(content), flush=True)
while True:
    asked = lines.get()
    number, ask = asked["id"], asked["ask"]
    if "die_unless" in asked and not pathlib.Path(asked["die_unless"]).exists():
        pathlib.Path(asked["die_unless"]).touch()
        os._exit(3)
    if ask == "die":
        print("out of luck", file=sys.stderr, flush=True)
        os._exit(3)
    if ask == "wait":
        while number not in cancelled:
            say(id=number, progress={"label": "waiting", "done": 1, "total": 4})
            time.sleep(0.02)
        say(id=number, cancelled=True)
    elif ask == "hang":
        while True:
            time.sleep(0.02)
    elif ask == "fail":
        say(id=number, error={"kind": "data", "what": "no", "why": "because", "fix": "mend it"})
    else:
        say(id=number, answer={"ask": ask, "pid": os.getpid(), "number": number})
"""


class Heard:
    """What the client said."""

    def __init__(self, client: EngineClient) -> None:
        self.answers: list[tuple[str, dict[str, Any]]] = []
        self.errors: list[tuple[str, KDStudioError]] = []
        self.progress: list[tuple[str, str, int, int]] = []
        client.answered.connect(lambda channel, answer: self.answers.append((channel, answer)))
        client.failed.connect(lambda channel, error: self.errors.append((channel, error)))
        client.progressed.connect(lambda *what: self.progress.append(what))


@pytest.fixture
def make_client(qapp: object) -> Iterator[Callable[..., EngineClient]]:
    made: list[EngineClient] = []

    def make(command: list[str] | None = None) -> EngineClient:
        made.append(EngineClient(command=command))
        return made[-1]

    yield make
    for client in made:
        client.shut_down()
        client.deleteLater()


@pytest.fixture
def client(make_client: Callable[..., EngineClient]) -> EngineClient:
    return make_client([sys.executable, "-c", STAND_IN])


def test_an_answer_comes_and_is_kept(client: EngineClient, qtbot: QtBot) -> None:
    heard = Heard(client)
    assert client.process_id == 0
    client.ask("data", {"ask": "a"})
    assert client.pending("data")
    qtbot.waitUntil(lambda: len(heard.answers) == 1, timeout=30_000)
    assert not client.pending("data")
    assert client.process_id == heard.answers[0][1]["pid"]
    client.ask("other", {"ask": "a"})
    assert heard.answers[1] == ("other", heard.answers[0][1])
    client.ask("data", {"ask": "a"}, fresh=True)
    qtbot.waitUntil(lambda: len(heard.answers) == 3, timeout=30_000)
    assert heard.answers[2][1]["pid"] != heard.answers[0][1]["pid"]


def test_what_may_change_is_not_kept(client: EngineClient, qtbot: QtBot) -> None:
    heard = Heard(client)
    for count in (1, 2):
        client.ask("logits", {"ask": "a"}, keep=False)
        qtbot.waitUntil(lambda count=count: len(heard.answers) == count, timeout=30_000)
    assert heard.answers[0][1]["number"] != heard.answers[1][1]["number"]


def test_the_newest_question_wins(client: EngineClient, qtbot: QtBot) -> None:
    heard = Heard(client)
    client.ask("data", {"ask": "wait"})
    qtbot.waitUntil(lambda: bool(heard.progress), timeout=30_000)
    assert heard.progress[-1] in (("data", "", 0, 0), ("data", "waiting", 1, 4))
    for number in range(20):
        client.ask("data", {"ask": "a", "number": number})
    client.ask("model", {"ask": "b"})
    qtbot.waitUntil(lambda: len(heard.answers) == 2, timeout=30_000)
    assert [(channel, answer["ask"]) for channel, answer in heard.answers] == [("data", "a"), ("model", "b")]
    assert heard.answers[1][1]["number"] == 3, "the nineteen in between were never sent"
    assert not heard.errors


def test_cancel(client: EngineClient, qtbot: QtBot) -> None:
    heard = Heard(client)
    client.ask("data", {"ask": "wait"})
    qtbot.waitUntil(lambda: bool(heard.progress), timeout=30_000)
    client.cancel("data")
    assert not client.pending("data")
    client.ask("data", {"ask": "a"})
    qtbot.waitUntil(lambda: len(heard.answers) == 1, timeout=30_000)
    assert heard.answers[0][1]["ask"] == "a"
    client.ask("data", {"ask": "never sent"})
    client.cancel("data")
    client.ask("data", {"ask": "b"})
    qtbot.waitUntil(lambda: len(heard.answers) == 2, timeout=30_000)
    assert heard.answers[1][1]["number"] == 3


def test_a_question_that_cannot_be_cancelled_ends_with_its_process(
    client: EngineClient, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard = Heard(client)
    client._grace.setInterval(100)
    client.ask("data", {"ask": "hang"})
    qtbot.waitUntil(lambda: client.process_id > 0 and bool(heard.progress), timeout=30_000)
    first = client.process_id
    client.ask("data", {"ask": "a"})
    qtbot.waitUntil(lambda: len(heard.answers) == 1, timeout=30_000)
    assert heard.answers[0][1]["pid"] != first
    assert not psutil.pid_exists(first)


def test_an_error_is_an_error_of_ours(client: EngineClient, qtbot: QtBot) -> None:
    heard = Heard(client)
    client.ask("data", {"ask": "fail"})
    qtbot.waitUntil(lambda: len(heard.errors) == 1, timeout=30_000)
    channel, error = heard.errors[0]
    assert (channel, error.what, error.why, error.fix, error.kind) == ("data", "no", "because", "mend it", "data")


def test_a_process_that_died_is_asked_again(client: EngineClient, qtbot: QtBot, tmp_path: Path) -> None:
    heard = Heard(client)
    client.ask("data", {"ask": "a", "die_unless": str(tmp_path / "died")})
    qtbot.waitUntil(lambda: len(heard.answers) == 1, timeout=30_000)
    assert (tmp_path / "died").exists()
    psutil.Process(client.process_id).kill()
    client.ask("data", {"ask": "b"})
    qtbot.waitUntil(lambda: len(heard.answers) == 2, timeout=30_000)
    assert not heard.errors


def test_a_question_that_kills_is_asked_twice_only(client: EngineClient, qtbot: QtBot) -> None:
    heard = Heard(client)
    client.ask("data", {"ask": "die"})
    client.ask("model", {"ask": "a"})
    qtbot.waitUntil(lambda: len(heard.errors) == 1 and len(heard.answers) == 1, timeout=30_000)
    error = heard.errors[0][1]
    assert (error.kind, error.why) == ("engine-died", "out of luck")


def test_a_process_that_does_not_start(make_client: Callable[..., EngineClient], qtbot: QtBot, tmp_path: Path) -> None:
    client = make_client([str(tmp_path / "absent")])
    heard = Heard(client)
    client.ask("data", {"ask": "a"})
    qtbot.waitUntil(lambda: len(heard.errors) == 1, timeout=30_000)
    assert "could not be started" in heard.errors[0][1].what


def test_shut_down_and_idle_leave_no_process(client: EngineClient, qtbot: QtBot) -> None:
    heard = Heard(client)
    client.ask("data", {"ask": "wait"})
    qtbot.waitUntil(lambda: bool(heard.progress), timeout=30_000)
    first = client.process_id
    client.shut_down()
    assert client.process_id == 0
    assert not psutil.pid_exists(first)
    client._idle.setInterval(50)
    client.ask("data", {"ask": "a"})
    qtbot.waitUntil(lambda: len(heard.answers) == 1 and client.process_id == 0, timeout=30_000)


def test_the_real_engine(make_client: Callable[..., EngineClient], qtbot: QtBot, digits: Project) -> None:
    client = make_client()
    heard = Heard(client)
    root = str(digits.root)
    client.ask("data", {"ask": "data", "root": root, "data": {"source": "digits"}, "examples": 2})
    model = {"ask": "model", "root": root, "side": "student", "input_shape": [1, 8, 8], "classes": 10}
    client.ask("student", {**model, "spec": {"model": "mlp", "widths": [32]}})
    client.ask("teacher", {**model, "spec": {"model": "models.py:build"}})
    qtbot.waitUntil(lambda: len(heard.answers) == 2 and len(heard.errors) == 1, timeout=120_000)
    data, student = heard.answers[0][1], heard.answers[1][1]
    assert data["samples"] == {"train": 1374, "validation": 153, "test": 270}
    assert len(data["examples"]) == 20
    assert student["parameters"] == 2410
    assert heard.errors[0][1].kind == "untrusted"
