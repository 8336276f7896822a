"""The machines that ship are made of what the harness knows, and heartbeats stay within their bounds."""

from __future__ import annotations

import ast
import tomllib
import unittest
from pathlib import Path
from typing import Any

import heartbeat
import leg

HARNESS = Path(leg.__file__).parent


def constant(name: str) -> dict[str, Any]:
    """A table of machine.py, which itself cannot be imported outside gem5."""
    for statement in ast.parse((HARNESS / "machine.py").read_text(encoding="utf-8")).body:
        if isinstance(statement, ast.Assign) and ast.unparse(statement.targets[0]) == name:
            assert isinstance(statement.value, ast.Dict)
            keys = [ast.literal_eval(key) for key in statement.value.keys if key is not None]
            return dict(zip(keys, statement.value.values, strict=True))
    raise AssertionError(f"machine.py has no {name}")


class MachinesTest(unittest.TestCase):
    def test_every_machine_that_ships_is_made_of_what_the_harness_knows(self) -> None:
        machines = sorted((HARNESS / "machines").glob("*.toml"))
        self.assertEqual([path.stem for path in machines], ["simple", "skylake"])
        for path in machines:
            with self.subTest(path.stem):
                machine = tomllib.loads(path.read_text(encoding="utf-8"))
                self.assertIn(machine["cpu"], leg.CPUS)
                self.assertIn(machine["cpu"], constant("CPUS"))
                self.assertIn(machine["dram"], constant("DRAM"))
                for cache in machine["caches"].values():
                    leg.Cache(**cache)
                o3 = machine.get("o3", {})
                self.assertIn(o3.pop("branch", "ltage"), constant("BRANCH"))
                self.assertLessEqual(o3.keys(), constant("O3").keys())

    def test_all_models_that_a_leg_may_name_are_known(self) -> None:
        self.assertEqual(set(leg.CPUS), constant("CPUS").keys())


class HeartbeatTest(unittest.TestCase):
    def test_a_period_follows_the_speed_of_the_last(self) -> None:
        self.assertEqual(heartbeat.next_period(10**9, heartbeat.PERIOD), 10**9)
        self.assertEqual(heartbeat.next_period(10**9, 2 * heartbeat.PERIOD), 10**9 // 2)

    def test_it_at_most_doubles_and_stays_within_its_bounds(self) -> None:
        self.assertEqual(heartbeat.next_period(10**9, 0.001), 2 * 10**9)
        self.assertEqual(heartbeat.next_period(10**9, 0), 2 * 10**9)
        self.assertEqual(heartbeat.next_period(10**9, 10**9), heartbeat.SHORTEST)
        self.assertEqual(heartbeat.next_period(heartbeat.LONGEST, 0), heartbeat.LONGEST)


if __name__ == "__main__":
    unittest.main()
