"""How gem5's exits reach a course: generators of gem5 24.x, and handlers of hypercalls since 25.0.

In 25.0 exits carry a number. Those of the classic kind (0) still go to generators; the beginning and the end of work (4, 5)
and a scheduled exit go to handler classes, of which the last one that is declared for a number counts.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any, Protocol

from course import Course
from gem5.simulate.exit_event import ExitEvent

WORK_BEGIN = 4
WORK_END = 5


class Simulation(Protocol):
    """What the hooks ask of a simulation."""

    def exit_code(self) -> int: ...

    def exit_cause(self) -> str: ...

    def beat(self) -> bool: ...


def exit_events(
    simulation: Simulation, course: Course
) -> dict[ExitEvent, Generator[bool, None, None]]:
    """What to hand to the `Simulator`."""

    def work_begins() -> bool:
        return course.work_begins()

    def work_ends() -> bool:
        return course.work_ends()

    _handle_hypercalls(work_begins, work_ends)
    known: dict[ExitEvent, Callable[[], bool]] = {
        ExitEvent.FAIL: lambda: course.told(simulation.exit_code()),
        ExitEvent.EXIT: course.exited,
        ExitEvent.WORKBEGIN: work_begins,
        ExitEvent.WORKEND: work_ends,
        ExitEvent.MAX_TICK: simulation.beat,
    }
    others = set(ExitEvent) - known.keys()
    known |= dict.fromkeys(others, lambda: course.other(simulation.exit_cause()))
    return {event: _always(action) for event, action in known.items()}


def _always(action: Callable[[], bool]) -> Generator[bool, None, None]:
    while True:
        yield action()


def _handle_hypercalls(work_begins: Callable[[], bool], work_ends: Callable[[], bool]) -> None:
    try:
        from gem5.simulate.exit_handler import register_exit_handler
    except ImportError:
        return

    def calling(action: Callable[[], bool]) -> Callable[[Any, dict[str, str]], bool]:
        return lambda _simulator, _payload: action()

    register_exit_handler(WORK_BEGIN, calling(work_begins), "a measured invocation begins")
    register_exit_handler(WORK_END, calling(work_ends), "a measured invocation ends")
