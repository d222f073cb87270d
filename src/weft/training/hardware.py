"""What a run was computed on, in words."""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch

from weft.training.watch import size


def hardware() -> dict[str, str]:
    """This machine and what is installed on it, by name."""
    found = {"processor": processor(), "cores": cores(), "memory": size(memory())}
    if torch.cuda.is_available():
        parts = [torch.cuda.get_device_properties(number) for number in range(torch.cuda.device_count())]
        found["GPU"] = ", ".join(f"{part.name} ({size(part.total_memory)})" for part in parts)
    found |= {"system": platform.platform(), "python": platform.python_version(), "torch": torch.__version__}
    try:
        found["weft"] = version("weft")
    except PackageNotFoundError:  # run from its sources
        found["weft"] = "not installed"
    return {name: value for name, value in found.items() if value}


def processor() -> str:
    """The processor's name."""
    path = Path("/proc/cpuinfo")
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines() if path.is_file() else []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, "") or platform.processor() or platform.machine()


def cores() -> str:
    """How many there are, and how many this process may use."""
    there = os.cpu_count() or 1
    try:
        mine = len(os.sched_getaffinity(0))
    except AttributeError:  # macOS, Windows
        mine = there
    return str(there) if mine == there else f"{mine} of {there}"


def memory() -> int | None:
    """Bytes of main memory; None where the system has no word for it."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return None
