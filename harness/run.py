"""The fixed gem5 configuration of vsbuild: `gem5 --outdir=DIR run.py LEG.json`.

Simulates one leg of a run. What happens is told in DIR/events.jsonl, one JSON object a line, each with `event`, `tick`,
`insts` (instructions of all cores since this start) and `host` (seconds since this start).

Never edit it for an experiment: parameters are in the leg, which vsbuild writes from a machine's TOML, and the hash of this
directory is part of every result.
"""

from __future__ import annotations

import atexit
import importlib
import json
import sys
import time
from pathlib import Path

import m5
from course import Course
from heartbeat import FIRST, next_period
from leg import Leg, Mistake, read


class Events:
    """The file that vsbuild reads along."""

    def __init__(self, outdir: Path) -> None:
        self._file = (outdir / "events.jsonl").open("w", encoding="utf-8")
        self._begin = time.monotonic()

    def seconds(self) -> float:
        """Host seconds since the beginning."""
        return time.monotonic() - self._begin

    def tell(self, event: str, **details: object) -> None:
        """Writes a line, which is there at once."""
        line = {"event": event, **details, "host": round(self.seconds(), 3)}
        self._file.write(json.dumps(line, separators=(",", ":")) + "\n")
        self._file.flush()


class Gem5:
    """A simulation under way, as a course sees it."""

    def __init__(self, leg: Leg, events: Events) -> None:
        from gem5.resources.resource import DiskImageResource, KernelResource
        from gem5.simulate.simulator import Simulator
        from hooks import exit_events
        from machine import Processor, caches, memory

        board = importlib.import_module(f"boards.{leg.isa}")
        self._leg = leg
        self._events = events
        self._processor = Processor(leg, board.ISA)
        self._board = board.Board(
            clk_freq=leg.clock,
            processor=self._processor,
            memory=memory(leg),
            cache_hierarchy=caches(leg),
        )
        answer = Path(m5.options.outdir) / "answer"
        answer.write_text(leg.words + "\n", encoding="utf-8")
        self._board.set_kernel_disk_workload(
            kernel=KernelResource(local_path=str(leg.kernel)),
            disk_image=DiskImageResource(local_path=str(leg.disk)),
            # The standard library formats it.
            kernel_args=[leg.cmdline.replace("{", "{{").replace("}", "}}")],
            readfile=str(answer),
            checkpoint=leg.restore,
        )
        self._last_beat = (0, 0.0)
        self._simulator = Simulator(
            board=self._board,
            on_exit_event=exit_events(self, Course(leg, self)),
        )
        self._simulator.set_max_ticks(FIRST)

    def run(self) -> None:
        """Simulates until the course says that it is over."""
        self._simulator.run()
        # What was counted after the last invocation is nobody's.
        atexit.unregister(m5.stats.dump)

    def exit_code(self) -> int:
        """The code of the exit that is being handled."""
        return int(self._simulator.get_last_exit_event_code())

    def exit_cause(self) -> str:
        """Its cause."""
        return str(self._simulator.get_last_exit_event_cause())

    def tell(self, event: str, **details: object) -> None:
        insts = self._processor.instructions()
        self._events.tell(event, **details, tick=m5.curTick(), insts=insts)

    def beat(self) -> bool:
        """Time for a sign of life; true if the simulation has had its time."""
        tick, seconds = m5.curTick(), self._events.seconds()
        self.tell("heartbeat")
        last_tick, last_seconds = self._last_beat
        self._last_beat = (tick, seconds)
        if self._leg.max_ticks and tick >= self._leg.max_ticks:
            self.tell("max-ticks")
            return True
        period = next_period(max(tick - last_tick, 1), seconds - last_seconds)
        if self._leg.max_ticks:
            period = min(period, self._leg.max_ticks - tick)
        self._simulator.set_max_ticks(period)
        return False

    def switch(self) -> None:
        self._processor.switch()

    def switch_back(self) -> None:
        self._processor.switch_back()

    def checkpoint(self) -> None:
        m5.checkpoint(str(self._leg.checkpoint))

    def reset_stats(self) -> None:
        m5.stats.reset()

    def dump_stats(self) -> None:
        m5.stats.dump()


def _admit_no_ruby() -> None:
    """A gem5 without Ruby names no coherence protocol, and 24.x's standard library then refuses to go on. Classic caches
    have no use for one, so any name will do."""
    from m5.defines import buildEnv

    if not buildEnv.get("PROTOCOL", "absent"):
        buildEnv["PROTOCOL"] = "MI_example"


def main() -> None:
    """Simulates the leg whose file is the argument."""
    try:
        leg = read(Path(sys.argv[1]).read_text(encoding="utf-8"))
        _admit_no_ruby()
        events = Events(Path(m5.options.outdir))
        simulation = Gem5(leg, events)
    except Mistake as mistake:
        sys.exit(f"{sys.argv[1]}: {mistake}")
    events.tell("started")
    simulation.run()


main()
