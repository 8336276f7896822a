"""What one start of gem5 is to do: a leg of a run, as vsbuild writes it in JSON.

Knows nothing of gem5, so that it can be tested without one.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

# Version of the JSON. vsbuild and harness are one, so only a mistake makes them differ.
FORMAT = 2

CPUS = ("atomic", "kvm", "timing", "minor", "o3")
UNTIL = ("booted", "warm", "end")
STATS = ("invocation", "once")


class Mistake(Exception):
    """A leg that cannot be meant so."""


@dataclass(frozen=True)
class Cache:
    """One cache of the hierarchy."""

    size: str
    assoc: int
    latency: int
    mshrs: int


@dataclass(frozen=True)
class Leg:
    """One start of gem5."""

    isa: str
    kernel: Path
    disk: Path
    cmdline: str
    # What `m5 readfile` gives the guest.
    words: str
    # A checkpoint to begin with, and one to end with: directories.
    restore: Path | None
    checkpoint: Path | None
    # Where it ends: containerd is ready, the function is warm, the guest has ended.
    until: str
    cores: int
    clock: str
    memory: str
    dram: str
    # The model that begins, and the one that measures; none if nothing is measured.
    start: str
    measure: str | None
    # By name: l1i, l1d, l2, l3. Without any, memory is all there is.
    caches: dict[str, Cache]
    o3: dict[str, Any]
    stats: str
    invocations: int
    # The last tick; 0 if there is none.
    max_ticks: int


def read(text: str) -> Leg:
    """Reads a leg; a `Mistake` says what is wrong with it."""
    try:
        given = json.loads(text)
    except json.JSONDecodeError as error:
        raise Mistake(f"not JSON: {error}") from error
    if not isinstance(given, dict):
        raise Mistake("not an object")
    if given.pop("format", None) != FORMAT:
        raise Mistake(f"its format is not {FORMAT}")
    known = {entry.name for entry in fields(Leg)}
    if unknown := sorted(given.keys() - known):
        raise Mistake(f"unknown keys: {', '.join(unknown)}")
    if missing := sorted(known - given.keys()):
        raise Mistake(f"missing keys: {', '.join(missing)}")
    for name in ("kernel", "disk", "restore", "checkpoint"):
        given[name] = None if given[name] is None else Path(given[name])
    try:
        given["caches"] = {name: Cache(**cache) for name, cache in given["caches"].items()}
    except TypeError as error:
        raise Mistake(f"caches: {error}") from error
    return _checked(Leg(**given))


def _checked(leg: Leg) -> Leg:
    _one_of("start", leg.start, CPUS)
    if leg.measure is not None:
        _one_of("measure", leg.measure, CPUS)
    _one_of("until", leg.until, UNTIL)
    _one_of("stats", leg.stats, STATS)
    for name in leg.caches:
        _one_of("caches", name, ("l1i", "l1d", "l2", "l3"))
    if leg.caches and not {"l1i", "l1d"} <= leg.caches.keys():
        raise Mistake("caches without l1i and l1d")
    if leg.cores < 1:
        raise Mistake("no cores")
    if (leg.until == "end") == (leg.checkpoint is not None):
        raise Mistake("a checkpoint is taken exactly where a leg ends before the guest does")
    return leg


def _one_of(key: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise Mistake(f"{key} is {value!r}, not one of {', '.join(choices)}")
