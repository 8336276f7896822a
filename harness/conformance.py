"""Runs the conformance test's program in gem5's syscall emulation, on AtomicSimpleCPU.

    gem5 conformance.py PROGRAM [ARGUMENT...]

It uses plain objects of m5 only: the standard library asks for Ruby's protocols, which not every build has. What the program
writes comes out of gem5 as it is written.
"""

import sys

import m5
from m5.objects import (
    AddrRange,
    Process,
    Root,
    SEWorkload,
    SimpleMemory,
    SrcClockDomain,
    System,
    SystemXBar,
    VoltageDomain,
)

try:
    from m5.objects import X86AtomicSimpleCPU as Cpu
except ImportError:
    from m5.objects import AtomicSimpleCPU as Cpu


def machine(program: str, arguments: list[str]) -> System:
    """One core, its memory, and the program in it."""
    system = System(mem_mode="atomic", mem_ranges=[AddrRange("256MiB")])
    system.clk_domain = SrcClockDomain(clock="1GHz", voltage_domain=VoltageDomain())
    system.membus = SystemXBar()
    system.memory = SimpleMemory(range=system.mem_ranges[0], port=system.membus.mem_side_ports)
    system.system_port = system.membus.cpu_side_ports
    cpu = Cpu()
    cpu.icache_port = system.membus.cpu_side_ports
    cpu.dcache_port = system.membus.cpu_side_ports
    cpu.createInterruptController()
    for interrupts in cpu.interrupts:
        interrupts.pio = system.membus.mem_side_ports
        interrupts.int_requestor = system.membus.cpu_side_ports
        interrupts.int_responder = system.membus.mem_side_ports
    system.workload = SEWorkload.init_compatible(program)
    cpu.workload = Process(executable=program, cmd=[program, *arguments])
    cpu.createThreads()
    system.cpu = cpu
    return system


def main() -> None:
    """Simulates until the program ends; its exit code is gem5's."""
    program, *arguments = sys.argv[1:]
    root = Root(full_system=False, system=machine(program, arguments))
    m5.instantiate()
    event = m5.simulate()
    print(
        f"ended: {event.getCause()}, {root.system.cpu.totalInsts()} instructions", file=sys.stderr
    )
    sys.exit(event.getCode())


main()
