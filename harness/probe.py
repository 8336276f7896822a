"""Tells vsbuild about a gem5: `gem5 probe.py` prints one line of JSON, marked by its first key."""

import json

import _m5.core
import m5.objects
from m5 import defines

ISAS = ("x86", "arm", "riscv")

print(
    json.dumps(
        {
            "vsbuild-probe": 1,
            "version": _m5.core.gem5Version,
            "isas": [isa for isa in ISAS if defines.buildEnv.get(f"USE_{isa.upper()}_ISA")],
            "kvm": hasattr(m5.objects, "X86KvmCPU"),
        }
    )
)
