#!/usr/bin/env python3
"""A STAND-IN for gem5, for tests on machines that have none. It simulates nothing.

It takes gem5's arguments and replays what a real gem5 wrote (`recordings/`, see the README there), one directory for each
stage. The file `behaviour` beside it, if there is one, says what goes wrong: STAGE WHAT, with WHAT one of

    silent    nothing is written, and it does not end
    stuck     time goes on, but no instruction is retired
    panic     the guest's kernel gives up, and it does not end
    killed    it is killed in the middle
    full      it cannot write
    different the same, but for one statistic
    wrong     the guest ends with a code
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
STAGES = {"booted": "boot", "warm": "function", "end": "measure"}


def main() -> None:
    """Does as gem5 with these arguments would."""
    words = sys.argv[1:]
    outdir = Path(words[words.index("--outdir") + 1])
    script = next(word for word in words if word.endswith(".py"))
    if script.endswith("probe.py"):
        version = (HERE / "recordings" / "version").read_text().strip()
        print("A stand-in for gem5 that replays a recording.")
        print(json.dumps({"vsbuild-probe": 1, "version": version, "isas": ["x86"], "kvm": False}))
        return
    leg = json.loads(Path(words[-1]).read_text())
    if leg["start"] == "kvm":
        # What a real one said on a host whose KVM it could not use.
        sys.exit("panic: KVM: Failed to set guest CPUID2 (errno: 22)")
    stage = STAGES[leg["until"]]
    outdir.mkdir()
    if leg["restore"] is not None and not (Path(leg["restore"]) / "m5.cpt").is_file():
        sys.exit("fatal: the checkpoint is not there")
    replay(stage, leg, outdir, behaviour(stage))


def behaviour(stage: str) -> str:
    """What is to go wrong in this stage."""
    try:
        words = (HERE / "behaviour").read_text().split()
    except FileNotFoundError:
        return "well"
    return words[1] if words[0] == stage else "well"


def replay(stage: str, leg: dict[str, object], outdir: Path, how: str) -> None:
    """Writes what a real gem5 wrote."""
    recording = HERE / "recordings" / stage
    events = (recording / "events.jsonl").read_text().splitlines()
    console = (recording / "console.log").read_text().splitlines()
    with (outdir / "events.jsonl").open("w") as told, (
        outdir / "board.pc.com_1.device"
    ).open("w") as terminal:
        if how == "silent":
            time.sleep(3600)
        if how == "full":
            sys.exit("OSError: [Errno 28] No space left on device")
        half = len(console) // 2
        say(terminal, console[:half])
        say(told, events[:1])
        if how == "stuck":
            stuck(told, json.loads(events[0]))
        if how == "panic":
            say(terminal, ["[    9.0] BUG: what led to it", "[    9.0] Kernel panic - not syncing: Fatal exception"])
            time.sleep(3600)
        if how == "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        if how == "wrong":
            code = '{"vsbuild":1,"stage":"exit","uptime_us":9,"code":125}'
            error = '{"vsbuild":1,"stage":"error","uptime_us":8,"text":"containerd died"}'
            say(terminal, [error, code])
            say(told, ['{"event":"ended","code":125,"tick":9,"insts":9,"host":1}'])
            return
        say(terminal, console[half:])
        say(told, events[1:])
    if leg["checkpoint"] is not None:
        checkpoint = Path(str(leg["checkpoint"]))
        checkpoint.mkdir()
        # A date, as gem5 writes one.
        (checkpoint / "m5.cpt").write_text(f"## checkpoint generated: {time.time()}\n[{stage}]\n")
        return
    stats = (recording / "stats.txt").read_text()
    if how == "different":
        stats = stats.replace("simTicks", "simTickz", 1)
    host = f"hostSeconds {time.time()} # differs from run to run\n"
    (outdir / "stats.txt").write_text(host + stats)
    (outdir / "config.json").write_text((recording / "config.json").read_text())


def say(file: object, lines: list[str]) -> None:
    """Writes lines so that they are there at once."""
    for line in lines:
        file.write(line + "\n")  # type: ignore[attr-defined]
    file.flush()  # type: ignore[attr-defined]


def stuck(told: object, event: dict[str, object]) -> None:
    """Lets simulated time pass, a second each time, without an instruction."""
    event["event"] = "heartbeat"
    event["insts"] = 5
    for second in range(3600):
        event["tick"] = (second + 1) * 10**12
        say(told, [json.dumps(event)])
        time.sleep(0.01)


main()
