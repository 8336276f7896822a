"""Writes cases.S: the code of every case, and the table from which runner.c runs them.

A row of the table: code, seed, name, its length, kind of values (0 whole numbers; doubles: 1 ordinary, 2 edges, 3 NaNs;
floats: 4, 5, 6 likewise; 7: xmm does not matter), runs, flags that are defined, first of its fixes, how many. A fix says of one word of the
state which bits to keep and which to set: slots 0 to 15 are the registers, 16 to 47 the halves of xmm0 to xmm15, 48 to 79
the words of memory, 80 the flags.
"""

import sys

import integer
import vector
from encode import CASES


def seed(name):
    """FNV-1a of the name: a case's values do not depend on which other cases there are."""
    value = 0xCBF29CE484222325
    for byte in name.encode():
        value = (value ^ byte) * 0x100000001B3 & (1 << 64) - 1
    return value or 1


def write(cases, out):
    code, table, names, fixes = [], [], [], []
    address, name_at = CASES, 0
    for case in cases:
        table.append([address, seed(case.name), f"names+{name_at}", len(case.name), case.values, case.runs])
        table[-1] += [case.flags, len(fixes), len(case.fixes)]
        fixes += case.fixes
        placed = bytearray()
        for part in case.code:
            placed += part.placed(address + len(placed))
        code.append(f".byte {','.join(map(str, placed))}; .byte 0xe9; .long leave - . - 4")
        address += len(placed) + 5
        names.append(f'.ascii "{case.name}"')
        name_at += len(case.name)
    print('.section .cases, "ax", @progbits', *code, sep="\n", file=out)
    print('.section .rodata, "a", @progbits', "names:", *names, ".balign 8", sep="\n", file=out)
    print(".globl tests, test_count, fixes", f"test_count: .quad {len(table)}", "tests:", sep="\n", file=out)
    print(*[f".quad {','.join(map(str, row))}" for row in table], "fixes:", sep="\n", file=out)
    print(*[f".quad {slot},{keep},{set_}" for slot, keep, set_ in fixes], sep="\n", file=out)
    print('.section .note.GNU-stack, "", @progbits', file=out)


def main():
    cases = integer.cases() + vector.cases()
    twice = {case.name for case in cases}
    if len(twice) != len(cases):
        seen = set()
        sys.exit("twice: " + ", ".join(c.name for c in cases if c.name in seen or seen.add(c.name)))
    write(cases, sys.stdout)


main()
