"""The machine of a leg, from gem5's standard library: processor, caches, memory."""

from __future__ import annotations

import m5.objects
from gem5.components.boards.abstract_board import AbstractBoard
from gem5.components.cachehierarchies.classic.abstract_classic_cache_hierarchy import (
    AbstractClassicCacheHierarchy,
)
from gem5.components.cachehierarchies.classic.no_cache import NoCache
from gem5.components.memory import single_channel
from gem5.components.memory.abstract_memory_system import AbstractMemorySystem
from gem5.components.memory.simple import SingleChannelSimpleMemory
from gem5.components.processors.cpu_types import CPUTypes, get_mem_mode
from gem5.components.processors.simple_core import SimpleCore
from gem5.components.processors.switchable_processor import SwitchableProcessor
from gem5.isas import ISA
from leg import Cache as Size
from leg import Leg, Mistake
from m5.objects import BadAddr, BaseXBar, Cache, L2XBar, Port, SystemXBar

CPUS = {
    "atomic": CPUTypes.ATOMIC,
    "kvm": CPUTypes.KVM,
    "timing": CPUTypes.TIMING,
    "minor": CPUTypes.MINOR,
    "o3": CPUTypes.O3,
}

DRAM = {
    "ddr3-1600": single_channel.SingleChannelDDR3_1600,
    "ddr3-2133": single_channel.SingleChannelDDR3_2133,
    "ddr4-2400": single_channel.SingleChannelDDR4_2400,
    "lpddr3-1600": single_channel.SingleChannelLPDDR3_1600,
}

# Keys of a machine's `o3`, and gem5's parameters.
O3 = {
    "rob": ("numROBEntries",),
    "iq": ("numIQEntries",),
    "lq": ("LQEntries",),
    "sq": ("SQEntries",),
    "int_regs": ("numPhysIntRegs",),
    "fp_regs": ("numPhysFloatRegs",),
    "fetch_width": ("fetchWidth", "decodeWidth"),
    "width": (
        "renameWidth",
        "dispatchWidth",
        "issueWidth",
        "wbWidth",
        "commitWidth",
        "squashWidth",
    ),
    "fetch_buffer": ("fetchBufferSize",),
    "fetch_queue": ("fetchQueueSize",),
    "fetch_to_decode": ("fetchToDecodeDelay",),
    "rename_to_iew": ("renameToIEWDelay",),
    "iew_to_commit": ("iewToCommitDelay",),
}

BRANCH = {
    "local": "LocalBP",
    "tournament": "TournamentBP",
    "bimode": "BiModeBP",
    "tage": "TAGE",
    "ltage": "LTAGE",
    "tage-sc-l-8k": "TAGE_SC_L_8KB",
    "tage-sc-l-64k": "TAGE_SC_L_64KB",
    "perceptron-8k": "MultiperspectivePerceptron8KB",
    "perceptron-64k": "MultiperspectivePerceptron64KB",
}


class Processor(SwitchableProcessor):
    """Cores that begin, and cores that measure. A checkpoint names only the former, so both kinds of legs call them alike."""

    def __init__(self, leg: Leg, isa: ISA) -> None:
        models = {"start": leg.start}
        if leg.measure is not None and leg.measure != leg.start:
            models["switch"] = leg.measure
        cores = {
            name: [SimpleCore(CPUS[model], core_id=core, isa=isa) for core in range(leg.cores)]
            for name, model in models.items()
        }
        super().__init__(switchable_cores=cores, starting_cores="start")
        self._mode = get_mem_mode(CPUS[leg.start])
        for group in cores.values():
            for core in group:
                if core.is_kvm_core():
                    # Hosts without performance counters, most virtual ones, have no other way.
                    core.get_simobject().usePerf = False
                if core.get_type() == CPUTypes.O3:
                    _shape(core.get_simobject(), leg.o3)

    def incorporate_processor(self, board: AbstractBoard) -> None:
        super().incorporate_processor(board)
        board.set_mem_mode(self._mode)

    def switch(self) -> None:
        """From the cores that began to those that measure."""
        self.switch_to_processor("switch")

    def switch_back(self) -> None:
        """From those to the ones that began."""
        self.switch_to_processor("start")

    def instructions(self) -> int:
        """Instructions that all cores have committed since this start of gem5."""
        return sum(core.get_simobject().totalInsts() for core in self._all_cores())


def _shape(core: m5.objects.BaseO3CPU, wanted: dict[str, object]) -> None:
    """Gives an out-of-order core its sizes."""
    for key, value in wanted.items():
        if key == "branch":
            core.branchPred = _predictor(str(value))
            continue
        if key == "iq" and hasattr(m5.objects, "IQUnit"):
            # Since 25.1 a core may have several queues.
            core.instQueues = [m5.objects.IQUnit(numEntries=value)]
            continue
        if key not in O3:
            raise Mistake(f"o3: unknown key {key}")
        for parameter in O3[key]:
            if not hasattr(core, parameter):
                raise Mistake(f"o3: this gem5 has no {parameter}, which {key} needs")
            setattr(core, parameter, value)


def _predictor(name: str) -> m5.objects.BranchPredictor:
    """A predictor of branches. In newer gem5 the class says only whether a branch is taken, and is a part of the predictor."""
    if name not in BRANCH:
        raise Mistake(f"o3: branch is {name!r}, not one of {', '.join(BRANCH)}")
    predictor = getattr(m5.objects, BRANCH[name])()
    if isinstance(predictor, m5.objects.BranchPredictor):
        return predictor
    return m5.objects.BranchPredictor(conditionalBranchPred=predictor)


class Caches(AbstractClassicCacheHierarchy):
    """Private first levels, a private second and a shared third one where the machine has them. Page walks begin below the first."""

    def __init__(self, given: dict[str, Size]) -> None:
        super().__init__()
        self._given = given
        self.membus = SystemXBar(width=64)
        self.membus.badaddr_responder = BadAddr()
        self.membus.default = self.membus.badaddr_responder.pio

    def get_mem_side_port(self) -> Port:
        return self.membus.mem_side_ports

    def get_cpu_side_port(self) -> Port:
        return self.membus.cpu_side_ports

    def incorporate_cache(self, board: AbstractBoard) -> None:
        board.connect_system_port(self.membus.cpu_side_ports)
        for _, port in board.get_memory().get_mem_ports():
            self.membus.mem_side_ports = port

        below = self.membus
        if "l3" in self._given:
            below = self._shared("l3", below)
        for number, core in enumerate(board.get_processor().get_cores()):
            above = self._shared("l2", below, f"-{number}") if "l2" in self._given else below
            l1i = self._level("l1i", f"-{number}", above, is_read_only=True)
            l1d = self._level("l1d", f"-{number}", above)
            core.connect_icache(l1i.cpu_side)
            core.connect_dcache(l1d.cpu_side)
            core.connect_walker_ports(above.cpu_side_ports, above.cpu_side_ports)
            core.connect_interrupt(self.membus.mem_side_ports, self.membus.cpu_side_ports)
        if board.has_coherent_io():
            self._connect_devices(board)

    def _shared(self, level: str, below: BaseXBar, suffix: str = "") -> BaseXBar:
        """A cache that several others are above, and the bus between; gives the bus."""
        cache = self._level(level, suffix, below)
        bus = L2XBar()
        cache.cpu_side = bus.mem_side_ports
        setattr(self, f"{level}-bus{suffix}", bus)
        return bus

    def _level(self, level: str, suffix: str, below: BaseXBar, **more: object) -> Cache:
        """A cache above `below`, called as gem5's own hierarchies call theirs: `l1d-cache-0`."""
        given = self._given[level]
        cache = Cache(
            size=given.size,
            assoc=given.assoc,
            tag_latency=given.latency,
            data_latency=given.latency,
            response_latency=given.latency,
            mshrs=given.mshrs,
            tgts_per_mshr=16,
            **more,
        )
        cache.mem_side = below.cpu_side_ports
        setattr(self, f"{level}-cache{suffix}", cache)
        return cache

    def _connect_devices(self, board: AbstractBoard) -> None:
        """Devices write to memory through a small cache of their own, which keeps the others coherent."""
        self.iocache = Cache(
            assoc=8,
            tag_latency=50,
            data_latency=50,
            response_latency=50,
            mshrs=20,
            size="1KiB",
            tgts_per_mshr=12,
            addr_ranges=board.mem_ranges,
        )
        self.iocache.mem_side = self.membus.cpu_side_ports
        self.iocache.cpu_side = board.get_mem_side_coherent_io_port()


def caches(leg: Leg) -> AbstractClassicCacheHierarchy:
    """The leg's cache hierarchy."""
    return Caches(leg.caches) if leg.caches else NoCache()


def memory(leg: Leg) -> AbstractMemorySystem:
    """The leg's memory. Where nothing is measured it is the simplest there is."""
    if leg.measure is None:
        return SingleChannelSimpleMemory(
            latency="30ns", latency_var="0ns", bandwidth="12.8GiB/s", size=leg.memory
        )
    if leg.dram not in DRAM:
        raise Mistake(f"dram is {leg.dram!r}, not one of {', '.join(DRAM)}")
    return DRAM[leg.dram](size=leg.memory)
