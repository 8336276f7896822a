"""Legs as vsbuild writes them, and every mistake in one."""

from __future__ import annotations

import json
import unittest
from pathlib import Path
from typing import Any

from leg import FORMAT, Cache, Mistake, read

GOOD: dict[str, Any] = {
    "format": FORMAT,
    "isa": "x86",
    "kernel": "vmlinux",
    "disk": "disk.img",
    "cmdline": "console=ttyS0 root=/dev/sda",
    "words": "",
    "restore": None,
    "checkpoint": None,
    "until": "end",
    "cores": 2,
    "clock": "3GHz",
    "memory": "2GiB",
    "dram": "ddr4-2400",
    "start": "atomic",
    "measure": "timing",
    "caches": {
        name: {"size": "32KiB", "assoc": 8, "latency": 1, "mshrs": 4} for name in ("l1i", "l1d")
    },
    "o3": {},
    "stats": "once",
    "invocations": 10,
    "max_ticks": 0,
}


class LegTest(unittest.TestCase):
    def refused(self, why: str, text: str) -> None:
        with self.assertRaises(Mistake) as caught:
            read(text)
        self.assertIn(why, str(caught.exception))

    def test_a_leg_is_read(self) -> None:
        leg = read(json.dumps(GOOD))
        self.assertEqual((leg.kernel, leg.restore), (Path("vmlinux"), None))
        self.assertEqual(leg.caches["l1i"], Cache("32KiB", 8, 1, 4))

    def test_what_is_no_leg_is_refused(self) -> None:
        self.refused("not JSON", "{")
        self.refused("not an object", "[]")
        self.refused("its format is not", "{}")
        self.refused("its format is not", json.dumps(GOOD | {"format": FORMAT + 1}))

    def test_keys_that_are_missing_or_too_many_are_named(self) -> None:
        self.refused("unknown keys: colour", json.dumps(GOOD | {"colour": 1}))
        without = {key: value for key, value in GOOD.items() if key not in ("isa", "clock")}
        self.refused("missing keys: clock, isa", json.dumps(without))

    def test_every_choice_is_checked(self) -> None:
        for key, value in [
            ("start", "slow"),
            ("measure", "fast"),
            ("until", "noon"),
            ("stats", "always"),
        ]:
            self.refused(key, json.dumps(GOOD | {key: value}))

    def test_caches_must_be_whole(self) -> None:
        caches = GOOD["caches"]
        self.refused("caches", json.dumps(GOOD | {"caches": caches | {"l4": caches["l1i"]}}))
        self.refused("caches without", json.dumps(GOOD | {"caches": {"l1i": caches["l1i"]}}))
        self.refused("caches", json.dumps(GOOD | {"caches": {"l1i": {"size": "1KiB"}}}))
        read(json.dumps(GOOD | {"caches": {}}))

    def test_a_machine_has_a_core(self) -> None:
        self.refused("no cores", json.dumps(GOOD | {"cores": 0}))

    def test_a_checkpoint_is_taken_where_a_leg_ends_before_its_guest(self) -> None:
        self.refused("checkpoint", json.dumps(GOOD | {"checkpoint": "there"}))
        self.refused("checkpoint", json.dumps(GOOD | {"until": "warm"}))
        read(json.dumps(GOOD | {"until": "booted", "checkpoint": "there"}))


if __name__ == "__main__":
    unittest.main()
