"""What a course does at each thing that the guest lets gem5 know. No gem5 is needed: a list takes its place."""

from __future__ import annotations

import unittest
from dataclasses import replace
from pathlib import Path

from course import ENDED, Course
from leg import Leg

LEG = Leg(
    isa="x86",
    kernel=Path("vmlinux"),
    disk=Path("disk.img"),
    cmdline="console=ttyS0",
    words="",
    restore=None,
    checkpoint=None,
    until="end",
    cores=2,
    clock="3GHz",
    memory="2GiB",
    dram="ddr4-2400",
    start="atomic",
    measure="o3",
    caches={},
    o3={},
    stats="invocation",
    invocations=2,
    max_ticks=0,
)


class Noted:
    """Stands in for a simulation, and notes what is asked of it."""

    def __init__(self) -> None:
        self.done: list[str] = []

    def tell(self, event: str, **details: object) -> None:
        self.done.append(" ".join([event, *(f"{key}={value}" for key, value in details.items())]))

    def switch(self) -> None:
        self.done.append("SWITCH")

    def switch_back(self) -> None:
        self.done.append("SWITCH BACK")

    def checkpoint(self) -> None:
        self.done.append("CHECKPOINT")

    def reset_stats(self) -> None:
        self.done.append("RESET")

    def dump_stats(self) -> None:
        self.done.append("DUMP")


def course(**changed: object) -> tuple[Course, Noted]:
    noted = Noted()
    return Course(replace(LEG, **changed), noted), noted  # type: ignore[arg-type]


class CourseTest(unittest.TestCase):
    def test_a_leg_that_ends_booted_takes_its_checkpoint_there_and_is_over(self) -> None:
        told, noted = course(until="booted", checkpoint=Path("checkpoint"))
        self.assertTrue(told.told(1))
        self.assertEqual(noted.done, ["booted", "CHECKPOINT", "checkpoint"])

    def test_a_leg_that_warms_passes_all_that_comes_before(self) -> None:
        told, noted = course(until="warm", checkpoint=Path("checkpoint"))
        self.assertEqual([told.told(code) for code in (1, 2, 3, 10, 31)], [False] * 5)
        self.assertNotIn("CHECKPOINT", noted.done)
        self.assertTrue(told.told(32))
        self.assertEqual(noted.done[-3:], ["warm", "CHECKPOINT", "checkpoint"])

    def test_each_invocation_is_counted_by_itself_after_the_switch(self) -> None:
        told, noted = course()
        self.assertFalse(told.told(33))
        for _ in range(2):
            self.assertFalse(told.work_begins())
            self.assertFalse(told.work_ends())
        self.assertFalse(told.told(11))
        self.assertTrue(told.told(34))
        self.assertEqual(
            noted.done,
            [
                "settled",
                "SWITCH",
                "switched cpu=o3",
                "RESET",
                "work-begins n=0",
                "work-ends n=0",
                "DUMP",
                "RESET",
                "work-begins n=1",
                "work-ends n=1",
                "DUMP",
                "client-ended",
                "SWITCH BACK",
                "switched cpu=atomic",
                "told",
                "ended code=0",
            ],
        )

    def test_all_invocations_can_be_counted_as_one(self) -> None:
        told, noted = course(stats="once")
        for _ in range(2):
            told.work_begins()
            told.work_ends()
        self.assertEqual([done for done in noted.done if done.isupper()], ["RESET", "DUMP"])
        self.assertEqual(noted.done[-1], "DUMP")

    def test_the_model_that_began_is_not_switched_to(self) -> None:
        for measure in (None, "atomic"):
            told, noted = course(measure=measure)
            told.told(33)
            self.assertEqual(noted.done, ["settled"])

    def test_a_leg_that_measures_nothing_goes_on_to_the_guests_end(self) -> None:
        told, noted = course(measure=None)
        self.assertFalse(told.told(34))
        self.assertTrue(told.exited())
        self.assertEqual(noted.done, ["told", "ended code=0"])

    def test_a_guest_that_failed_tells_its_exit_code(self) -> None:
        told, noted = course()
        self.assertTrue(told.told(ENDED + 125))
        self.assertEqual(noted.done, ["ended code=125"])

    def test_what_nobody_knows_is_told_and_nothing_is_done(self) -> None:
        told, noted = course()
        self.assertFalse(told.told(77))
        self.assertTrue(told.other("checkpoint"))
        self.assertEqual(noted.done, ["unknown code=77", "unexpected cause=checkpoint"])


if __name__ == "__main__":
    unittest.main()
