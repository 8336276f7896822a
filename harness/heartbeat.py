"""How long gem5 simulates before it lets vsbuild know that it lives.

Simulated time says little of host time: an idle guest's hour passes in a second. So the next period follows from the last.
Knows nothing of gem5.
"""

from __future__ import annotations

# Host seconds between two heartbeats.
PERIOD = 2.0
# Ticks (picoseconds) of the first period, and of the shortest and the longest. The longest is what follows when a guest
# wakes that was idle: a detailed core takes minutes for it.
FIRST = 10**8
SHORTEST = 10**6
LONGEST = 5 * 10**9


def next_period(ticks: int, seconds: float) -> int:
    """Ticks to simulate next, when `ticks` took `seconds` of host time. It at most doubles, since what was idle may wake."""
    if seconds <= 0:
        return min(ticks * 2, LONGEST)
    wanted = int(ticks * PERIOD / seconds)
    return max(SHORTEST, min(wanted, ticks * 2, LONGEST))
