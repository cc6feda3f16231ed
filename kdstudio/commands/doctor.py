"""`kdstudio doctor`: what this computer has, what it lacks, and what to install."""

from __future__ import annotations

import argparse
import ctypes.util
import importlib.metadata
import json
import os
import platform
import subprocess
import sys
from dataclasses import asdict, dataclass
from typing import Any

from kdstudio import __version__
from kdstudio.project.settings_path import cache_dir, config_dir

PACKAGES = (
    "torch", "torchvision", "timm", "accelerate", "safetensors", "onnx", "onnxruntime", "pydantic", "numpy",
    "PySide6-Essentials", "pyqtgraph",
)  # fmt: skip
#: Library that Qt's xcb plugin loads -> Debian's package for it.
QT_LIBRARIES = {
    "EGL": "libegl1", "GL": "libgl1", "xkbcommon-x11": "libxkbcommon-x11-0", "dbus-1": "libdbus-1-3",
    "fontconfig": "libfontconfig1", "xcb-cursor": "libxcb-cursor0", "xcb-icccm": "libxcb-icccm4",
    "xcb-image": "libxcb-image0", "xcb-keysyms": "libxcb-keysyms1", "xcb-randr": "libxcb-randr0",
    "xcb-render-util": "libxcb-render-util0", "xcb-shape": "libxcb-shape0", "xcb-xinerama": "libxcb-xinerama0",
    "xcb-xkb": "libxcb-xkb1",
}  # fmt: skip


@dataclass
class Finding:
    """One line of the report. `ok` is None for plain facts; `part` is engine or window."""

    part: str
    name: str
    value: str
    ok: bool | None = None
    fix: str = ""


def add_parser(subparsers: Any) -> None:
    parser = subparsers.add_parser("doctor", help="check this computer: versions, devices, what to install")
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(args: argparse.Namespace) -> int:
    findings = [*_system(), *_packages(), *_devices(), *_window()]
    if args.json:
        print(json.dumps([asdict(finding) for finding in findings]))
    else:
        width = max(len(finding.name) for finding in findings)
        for finding in findings:
            mark = {True: "ok  ", False: "MISS", None: "    "}[finding.ok]
            print(f"{mark} {finding.name:{width}}  {finding.value}")
            if finding.fix:
                print(f"     {'':{width}}  -> {finding.fix}")
    broken = [finding for finding in findings if finding.ok is False and finding.part == "engine"]
    return 1 if broken else 0


def _system() -> list[Finding]:
    version = platform.python_version()
    right = (3, 11) <= sys.version_info[:2] <= (3, 13)
    return [
        Finding("engine", "KD Studio", __version__),
        Finding("engine", "Python", version, right, "" if right else "use Python 3.11 to 3.13"),
        Finding("engine", "system", platform.platform()),
        Finding("engine", "settings", str(config_dir())),
        Finding("engine", "downloads", str(cache_dir())),
    ]


def _packages() -> list[Finding]:
    found = []
    for name in PACKAGES:
        part = "window" if name in ("PySide6-Essentials", "pyqtgraph") else "engine"
        try:
            version = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found.append(Finding(part, name, "not installed", False, "pip install kdstudio"))
            continue
        broken = name == "PySide6-Essentials" and version == "6.12.0"
        fix = "6.12.0 crashes on Python 3.11; pip install 'PySide6-Essentials!=6.12.0'" if broken else ""
        found.append(Finding(part, name, version, not broken, fix))
    return found


def _devices() -> list[Finding]:
    try:
        import torch
    except (ImportError, OSError) as error:
        fix = "pip install --force-reinstall torch"
        return [Finding("engine", "devices", f"PyTorch does not load: {error}", False, fix)]
    found = [Finding("engine", "CPU", f"{os.cpu_count()} cores, PyTorch uses {torch.get_num_threads()} threads", True)]
    if torch.cuda.is_available():
        for index in range(torch.cuda.device_count()):
            facts = torch.cuda.get_device_properties(index)
            bf16 = "bf16" if torch.cuda.is_bf16_supported() else "no bf16"
            text = f"{facts.name}, {facts.total_memory / 2**30:.0f} GiB, {bf16}"
            found.append(Finding("engine", f"cuda:{index}", text, True))
    else:
        built = torch.version.cuda or "none"
        found.append(Finding("engine", "CUDA", f"no device (PyTorch is built for CUDA {built}); training uses the CPU"))
    if torch.backends.mps.is_available():
        found.append(Finding("engine", "mps", "Apple GPU", True))
    return found


def _window() -> list[Finding]:
    found = []
    if sys.platform.startswith("linux"):
        missing = [package for library, package in QT_LIBRARIES.items() if ctypes.util.find_library(library) is None]
        if missing:
            fix = f"sudo apt-get install {' '.join(missing)}  (Debian and Ubuntu)"
            found.append(Finding("window", "Qt's system libraries", f"{len(missing)} missing", False, fix))
        else:
            found.append(Finding("window", "Qt's system libraries", "all there", True))
        screen = os.environ.get("WAYLAND_DISPLAY") or os.environ.get("DISPLAY")
        fix = "" if screen else "no window without one: use kdstudio run, or xvfb-run -a kdstudio ..."
        found.append(Finding("window", "screen", screen or "none", bool(screen), fix))
    # in a process of its own: a broken Qt may end it
    code = "from PySide6.QtWidgets import QApplication; from PySide6.QtCore import qVersion; print(qVersion())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    if done.returncode == 0:
        found.append(Finding("window", "Qt", done.stdout.strip(), True))
    else:
        last = (done.stderr.strip().splitlines() or ["it died"])[-1]
        found.append(Finding("window", "Qt", last, False, "install the system libraries named above"))
    return found
