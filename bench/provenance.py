"""Where a number was made: versions, revision, machine."""

import os
import platform
import resource
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from bench.instant import now

PACKAGES = (
    "erbench",
    "torch",
    "torchvision",
    "numpy",
    "scipy",
    "scikit-learn",
    "pandas",
    "pyarrow",
    "safetensors",
    "filelock",
)
OPTIONAL = ("torchattacks", "foolbox", "ray")
NVIDIA = Path("/proc/driver/nvidia/version")


def provenance(device: torch.device) -> dict[str, Any]:
    """Everything about the place that may explain a number; plain JSON."""
    return {
        "created": now(),
        "versions": _versions(),
        "git": _git(),
        "platform": platform.platform(),
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else _processor(),
        "driver": _driver() if device.type == "cuda" else None,
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "peak_memory_mb": _peak_memory_mb(),
        "peak_gpu_memory_mb": torch.cuda.max_memory_allocated(device) // 2**20 if device.type == "cuda" else None,
    }


def _versions() -> dict[str, str | None]:
    """Of everything that computes; of other libraries' attacks where they are installed."""
    installed = {name: _version(name) for name in OPTIONAL}
    return (
        {"python": platform.python_version(), "cuda": torch.version.cuda}
        | {name: _version(name) for name in PACKAGES}
        | {name: found for name, found in installed.items() if found}
    )


def _driver() -> str | None:
    """The NVIDIA driver's own line, on Linux."""
    try:
        return NVIDIA.read_text().splitlines()[0].partition(":")[2].strip()
    except (OSError, IndexError):
        return None


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _git() -> dict[str, Any] | None:
    """Commit and dirty flag of the checkout this file lies in; None outside one."""
    folder = Path(__file__).resolve().parent
    try:
        commit = subprocess.run(
            ["git", "rev-parse", "HEAD"], cwd=folder, capture_output=True, text=True, check=True, timeout=10
        )
        status = subprocess.run(
            ["git", "status", "--porcelain", "--untracked-files=no"],
            cwd=folder,
            capture_output=True,
            text=True,
            check=True,
            timeout=10,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return {"commit": commit.stdout.strip(), "dirty": bool(status.stdout.strip())}


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def _peak_memory_mb() -> int:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak // (1024 * 1024 if sys.platform == "darwin" else 1024)  # bytes on macOS, kilobytes elsewhere
