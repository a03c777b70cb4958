"""What `python -m impl choose` measured, kept in MAX's cache folder.

A choice holds for one CPU (its model, what it can do, how many of its cores may be used), one shape
of model, one version of MAX and one of the kernels: anything else has a file of its own, or none.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from impl.choosing.kernel_choice import CHOICES
from impl.precompile import SOURCE, cache_folder
from reports.saved.environment import source_sha256, usable_cpus
from reports.saved.files import write_json
from reports.saved.machine import all_flags, cpu_model

if TYPE_CHECKING:
    from pathlib import Path

    from impl.config import GPT2Config


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """The fastest kernels here.

    Attributes:
        kernels: one of `CHOICES`, none but `auto`.
        decode: of the others, the time of a decode step over that of these kernels, by name.
        prefill: likewise of a prompt.
        when: UTC, as ISO 8601 has it.
    """

    kernels: str
    decode: dict[str, float]
    prefill: dict[str, float]
    when: str

    @property
    def reason(self) -> str:
        """In a few words, for the line that says what runs."""
        others = [
            f"{self.decode[name]:.2f} and {self.prefill[name]:.2f} times as fast as {name}"
            for name in self.decode
        ]
        return f"measured here: decode and prefill {', '.join(others)}"


def kept(config: GPT2Config) -> Measured | None:
    """What was measured here for a model of this shape; None where that was not done."""
    try:
        found = Measured(**json.loads(file_of(config).read_text(encoding="utf-8")))
        return found if found.kernels in CHOICES and found.reason else None
    except (OSError, ValueError, TypeError, KeyError):
        return None


def fastest_here(config: GPT2Config | None) -> tuple[str, str] | None:
    """The fastest kernels for a model of this shape, with a few words; None if not measured."""
    found = kept(config) if config else None
    return (found.kernels, found.reason) if found else None


def keep(config: GPT2Config, measured: Measured) -> Path:
    """Keep it; returns the file.

    Raises:
        OSError: where the cache folder cannot be written.
    """
    file = file_of(config)
    file.parent.mkdir(parents=True, exist_ok=True)
    write_json(file, asdict(measured))
    return file


def file_of(config: GPT2Config) -> Path:
    """Where the choice for a model of this shape lies on this machine."""
    whole: dict[str, Any] = {
        "cpu": cpu_model(),
        "flags": all_flags(),
        "cpus": len(usable_cpus()),
        "max": version("max"),
        "kernels": source_sha256(SOURCE),
        "shape": [
            config.n_layer, config.n_head, config.n_embd, config.inner_dim, config.vocab_size,
        ],
    }  # fmt: skip
    name = hashlib.sha256(json.dumps(whole).encode()).hexdigest()[:16]
    return cache_folder() / "engine_choices" / f"{name}.json"
