"""Cases of shifts, rotations and single bits, with all kinds of counts."""

from case import AF, ALL_FLAGS, CF, OF, ZF, constant, fix, test
from encode import FEW, RCX, RDX, Mem, Reg, encode, little

SIZES = (8, 16, 32, 64)
FULL = (1 << 64) - 1
NAMES = {0: "rol", 1: "ror", 2: "rcl", 3: "rcr", 4: "shl", 5: "shr", 7: "sar"}


class Word(str):
    """An operand that is shown as it is."""


def counts(bits):
    """Kinds of counts in cl: what to keep of rcx, what to set, and whether the masked count is 0, 1, less than the width, or not."""
    limit = 63 if bits == 64 else 31
    kinds = [
        ("zero", 0, 0),
        ("zero", 0xFF00 | (0xFF & ~limit), limit + 1),
        ("one", 0xFF00, 1),
        ("few", 0xFF00 | (bits // 2 - 2), 2),
        ("most", 0, bits - 1),
    ]
    if bits < 32:
        kinds += [("over", 0, bits), ("over", 0, bits + 1), ("over", 0, bits + 7), ("over", 0, 31)]
    else:
        kinds += [("masked", 0xFF00 | (0xFF & ~limit), limit + 1 | 5)]
    return kinds


NOTES = {"zero": "count 0", "one": "count 1", "few": "count few", "most": "count most", "over": "count over",
         "masked": "count masked"}


def defined(name, kind):
    """Flags that the manual defines after a count of a kind."""
    if kind == "zero":
        return ALL_FLAGS
    one = OF if kind == "one" else 0
    if name in ("rol", "ror", "rcl", "rcr"):
        return ALL_FLAGS & ~OF | one
    carry = 0 if kind == "over" and name in ("shl", "shr") else CF
    return ALL_FLAGS & ~(AF | OF | CF) | one | carry


def shifts():
    """All of group 2: by cl, by 1 and by a constant."""
    cases = []
    for number, name in NAMES.items():
        for bits in SIZES:
            low = 0 if bits == 8 else 1
            for rm in [Reg(RDX, bits), Reg(11, bits)] + FEW:
                shown = name if isinstance(rm, Reg) else f"{name}{bits}"
                code = encode(bytes([0xD2 + low]), number, rm, bits=bits)
                kinds = counts(bits)
                for place, (kind, keep, value) in enumerate(kinds):
                    fixes = [fix(RCX, keep, value)]
                    # Two of a kind would have one name.
                    same = sum(1 for other in kinds[:place] if other[0] == kind)
                    operands = (rm, Word("cl"))
                    variant = f"{chr(ord('a') + same)} {NOTES[kind]}"
                    cases.append(test(shown, operands, code, fixes=fixes, flags=defined(name, kind), note=variant))
                code = encode(bytes([0xD0 + low]), number, rm, bits=bits)
                cases.append(test(shown, (rm, Word("1")), code, flags=defined(name, "one")))
                for count in (0, 1, 3, bits - 1, 31, 32 + 5):
                    masked = count & (63 if bits == 64 else 31)
                    kind = {0: "zero", 1: "one"}.get(masked, "over" if masked >= bits else "few")
                    code = encode(bytes([0xC0 + low]), number, rm, bits=bits, imm=little(count, 8))
                    operands = (rm, Word(str(count)))
                    if not (count == 31 and bits == 32):
                        cases.append(test(shown, operands, code, flags=defined(name, kind), note=NOTES[kind]))
    for high in range(4):
        reg = Reg(4 + high, 8, True)
        code = encode(b"\xd2", 5, reg)
        cases.append(test("shr", (reg, Word("cl")), code, fixes=[fix(RCX, 0xFF06, 1)], flags=0xC4))
    return cases


def doubles():
    """shld and shrd."""
    cases = []
    for name, opcode in (("shld", 0xA4), ("shrd", 0xAC)):
        for bits in (16, 32, 64):
            for rm in [Reg(RDX, bits), Reg(11, bits)] + FEW:
                reg = Reg(8, bits)
                for count in (0, 1, 7, bits - 1):
                    kind = {0: "zero", 1: "one"}.get(count, "few")
                    flags = defined("sar", kind)
                    code = encode(bytes([0x0F, opcode]), reg, rm, bits=bits, imm=little(count, 8))
                    cases.append(test(name, (rm, reg, Word(str(count))), code, flags=flags, note=NOTES[kind]))
                    code = encode(bytes([0x0F, opcode + 1]), reg, rm, bits=bits)
                    fixes = [fix(RCX, 0xFF00, count)]
                    note = f"{count} {NOTES[kind]}"
                    cases.append(test(name, (rm, reg, Word("cl")), code, flags=flags, fixes=fixes, note=note))
    return cases


def single_bits():
    """bt, bts, btr, btc: by a constant, by a register, and by one that reaches beyond the operand in memory."""
    cases = []
    flags = CF | ZF
    for number, name in enumerate(("bt", "bts", "btr", "btc")):
        for bits in (16, 32, 64):
            for rm in [Reg(RDX, bits), Reg(11, bits)] + FEW:
                for lock in (False, True) if isinstance(rm, Mem) and name != "bt" else (False,):
                    shown = ("lock " if lock else "") + name + (str(bits) if isinstance(rm, Mem) else "")
                    for value in range(0, 128, 9):
                        code = encode(b"\x0f\xba", 4 + number, rm, bits=bits, imm=bytes([value]), lock=lock)
                        cases.append(test(shown, (rm, Word(str(value))), code, flags=flags, runs=4))
                    code = encode(bytes([0x0F, 0xA3 + 8 * number]), Reg(8, bits), rm, bits=bits, lock=lock)
                    shown = ("lock " if lock else "") + name
                    operands = (rm, Reg(8, bits))
                    if isinstance(rm, Reg):
                        cases.append(test(shown, operands, code, flags=flags, runs=12))
                        continue
                    for note, keep, value in (("within", bits - 1, 0), ("beyond", 0x1FF, 0), ("before", 0x1FF, FULL & ~0x1FF)):
                        fixes = [fix(8, keep, value)]
                        cases.append(test(shown, operands, code, flags=flags, runs=12, fixes=fixes, note=note))
    return cases


def cases():
    """All of them."""
    return shifts() + doubles() + single_bits()


__all__ = ["cases", "constant"]
