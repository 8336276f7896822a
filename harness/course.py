"""The course of a leg: what is done at each thing that the guest lets gem5 know.

Knows nothing of gem5: who does the work is handed in, so that the course can be tested without one.
"""

from __future__ import annotations

from typing import Protocol

from leg import Leg

# Codes of `m5 fail`, as docs/guest.md lists them.
BOOTED = 1
CONTAINER_STARTED = 2
PINNED = 3
CLIENT_STARTED = 10
CLIENT_ENDED = 11
WARM_STARTED = 31
WARM_ENDED = 32
SETTLED = 33
TOLD = 34
# Above this, the guest has ended, and the rest is its exit code.
ENDED = 256

NAMES = {
    BOOTED: "booted",
    CONTAINER_STARTED: "function-started",
    PINNED: "function-pinned",
    CLIENT_STARTED: "client-started",
    CLIENT_ENDED: "client-ended",
    WARM_STARTED: "warm-started",
    WARM_ENDED: "warm",
    SETTLED: "settled",
    TOLD: "told",
}


class Simulation(Protocol):
    """What a course has done by others."""

    def tell(self, event: str, **details: object) -> None:
        """Lets vsbuild know."""

    def switch(self) -> None:
        """Goes on with the model that measures."""

    def switch_back(self) -> None:
        """Goes on with the model that began."""

    def checkpoint(self) -> None:
        """Takes the leg's checkpoint."""

    def reset_stats(self) -> None:
        """Begins to count."""

    def dump_stats(self) -> None:
        """Writes what was counted."""


class Course:
    """One leg under way. Each method says whether the simulation is over."""

    def __init__(self, leg: Leg, simulation: Simulation) -> None:
        self._leg = leg
        self._simulation = simulation
        self._begun = 0
        self._switched = False

    def told(self, code: int) -> bool:
        """The guest says how far it has come, or that it has ended."""
        if code >= ENDED:
            self._simulation.tell("ended", code=code - ENDED)
            return True
        name = NAMES.get(code)
        if name is None:
            self._simulation.tell("unknown", code=code)
            return False
        self._simulation.tell(name)
        if name == self._leg.until:
            self._simulation.checkpoint()
            self._simulation.tell("checkpoint")
            return True
        if code == SETTLED and self._leg.measure not in (None, self._leg.start):
            self._simulation.switch()
            self._switched = True
            self._simulation.tell("switched", cpu=self._leg.measure)
        if code == TOLD and self._leg.measure is not None:
            # The guest's own way to its end would take longer than all that was measured.
            self._simulation.tell("ended", code=0)
            return True
        if code == CLIENT_ENDED and self._switched:
            # What is left is not measured: the guest tells how it went.
            self._simulation.switch_back()
            self._switched = False
            self._simulation.tell("switched", cpu=self._leg.start)
        return False

    def work_begins(self) -> bool:
        """A measured invocation begins."""
        if self._leg.stats == "invocation" or self._begun == 0:
            self._simulation.reset_stats()
        self._simulation.tell("work-begins", n=self._begun)
        self._begun += 1
        return False

    def work_ends(self) -> bool:
        """It ends."""
        self._simulation.tell("work-ends", n=self._begun - 1)
        if self._leg.stats == "invocation" or self._begun == self._leg.invocations:
            self._simulation.dump_stats()
        return False

    def exited(self) -> bool:
        """The guest has ended well."""
        self._simulation.tell("ended", code=0)
        return True

    def other(self, cause: str) -> bool:
        """Something that no guest of ours does."""
        self._simulation.tell("unexpected", cause=cause)
        return True
