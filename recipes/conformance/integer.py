"""Cases of whole numbers: arithmetic, flags, memory, locked and string forms, jumps and the stack."""

import control
import shifts
from case import ALL_FLAGS, AF, CF, OF, ZF, Case, constant, fix, place, sequence, test
from encode import ALL, FEW, HIGH, RAX, RBX, RCX, RDX, RSP, Mem, Reg, encode, little, raw

SIZES = (8, 16, 32, 64)
WIDE = (16, 32, 64)
LOGIC = ALL_FLAGS & ~AF
# Pairs that use REX.R, REX.B, both and none.
PAIRS = ((RAX, RCX), (8, RDX), (RBX, 15), (9, 10))


def memory(bits):
    """The few addresses, with every size of operand."""
    return [(mem, bits) for mem in FEW]


def operands(bits):
    """Registers and addresses that a ModRM byte can name."""
    return [Reg(n, bits) for n in (RCX, 10)] + FEW


def op(base, bits):
    """Opcodes come in pairs: the even one for bytes, the odd one for the other sizes."""
    return bytes([base if bits == 8 else base | 1])


def sized(mnemonic, bits, operand_list):
    """The mnemonic, with the size where operands do not tell it."""
    named = any(isinstance(operand, Reg) for operand in operand_list)
    return mnemonic if named else f"{mnemonic}{bits}"


def arithmetic():
    """add, or, adc, sbb, and, sub, xor, cmp: every opcode of them."""
    cases = []
    names = "add or adc sbb and sub xor cmp".split()
    for number, name in enumerate(names):
        flags = LOGIC if name in ("or", "and", "xor") else ALL_FLAGS
        for bits in SIZES:
            for a, b in PAIRS:
                store = encode(op(number * 8, bits), Reg(b, bits), Reg(a, bits), bits=bits)
                load = encode(op(number * 8 + 2, bits), Reg(a, bits), Reg(b, bits), bits=bits)
                cases.append(test(name, (Reg(a, bits), Reg(b, bits)), store, flags=flags))
                cases.append(test(name, (Reg(a, bits), Reg(b, bits)), load, flags=flags))
            for mem in ALL if name in ("add", "cmp") and bits in (8, 64) else FEW:
                store = encode(op(number * 8, bits), Reg(RDX, bits), mem, bits=bits)
                load = encode(op(number * 8 + 2, bits), Reg(14, bits), mem, bits=bits)
                cases.append(test(name, (mem, Reg(RDX, bits)), store, flags=flags))
                cases.append(test(name, (Reg(14, bits), mem), load, flags=flags))
            for value in (0x5A, -0x5A):
                imm = little(value, min(bits, 32))
                short = encode_short(number * 8 + 4, bits, imm)
                cases.append(test(name, (Reg(RAX, bits), Imm(value)), short, flags=flags))
                for rm in operands(bits):
                    code = encode(op(0x80, bits), number, rm, bits=bits, imm=imm)
                    cases.append(test(sized(name, bits, (rm,)), (rm, Imm(value)), code, flags=flags))
                    if bits > 8:
                        code = encode(b"\x83", number, rm, bits=bits, imm=little(value, 8))
                        cases.append(test(sized(name, bits, (rm,)), (rm, Imm(value)), code, flags=flags))
            if name != "cmp":
                cases += locked(name, number, bits, flags)
    for bits in (8,):
        for high in range(4):
            for name, number in (("add", 0), ("xor", 6), ("cmp", 7)):
                flags = LOGIC if name == "xor" else ALL_FLAGS
                reg, other = Reg(4 + high, 8, True), Reg(RCX, 8)
                cases.append(test(name, (reg, other), encode(bytes([number * 8]), other, reg), flags=flags))
                cases.append(test(name, (other, reg), encode(bytes([number * 8]), reg, other), flags=flags))
                low = Reg(4 + high, 8)
                cases.append(test(name, (low, other), encode(bytes([number * 8]), other, low), flags=flags))
    return cases


def locked(name, number, bits, flags):
    """Locked forms, which read and write memory at once."""
    cases = []
    for mem in FEW:
        code = encode(op(number * 8, bits), Reg(RDX, bits), mem, bits=bits, lock=True)
        cases.append(test(f"lock {name}", (mem, Reg(RDX, bits)), code, flags=flags))
        code = encode(op(0x80, bits), number, mem, bits=bits, imm=little(0x5A, min(bits, 32)), lock=True)
        cases.append(test(f"lock {name}{bits}", (mem, Imm(0x5A)), code, flags=flags))
        if bits > 8:
            code = encode(b"\x83", number, mem, bits=bits, imm=b"\xa5", lock=True)
            cases.append(test(f"lock {name}{bits}", (mem, Imm(-0x5B)), code, flags=flags))
    return cases


class Imm:
    """A constant, as it is shown."""

    def __init__(self, value):
        self.value = value

    def __str__(self):
        return f"{self.value:#x}"


def encode_short(opcode, bits, imm):
    """The forms that know al, ax, eax and rax without a ModRM byte."""
    head = {8: b"", 16: b"\x66", 32: b"", 64: b"\x48"}[bits]
    return raw(*head, *op(opcode, bits), *imm)


def one_operand():
    """not, neg, inc, dec, mul, imul, div, idiv, test with a constant."""
    cases = []
    for bits in SIZES:
        for rm in [Reg(n, bits) for n in range(16)] + FEW:
            for name, opcode, number in (("not", 0xF6, 2), ("neg", 0xF6, 3), ("inc", 0xFE, 0), ("dec", 0xFE, 1)):
                if rm == Reg(RSP, bits):
                    continue
                code = encode(op(opcode, bits), number, rm, bits=bits)
                cases.append(test(sized(name, bits, (rm,)), (rm,), code))
                if isinstance(rm, Mem):
                    code = encode(op(opcode, bits), number, rm, bits=bits, lock=True)
                    cases.append(test(f"lock {name}{bits}", (rm,), code))
        for rm in operands(bits):
            imm = little(0x41 | 0x7E00, min(bits, 32))
            code = encode(op(0xF6, bits), 0, rm, bits=bits, imm=imm)
            cases.append(test(sized("test", bits, (rm,)), (rm, Imm(0x7E41)), code, flags=LOGIC))
            for name, number in (("mul", 4), ("imul", 5)):
                code = encode(op(0xF6, bits), number, rm, bits=bits)
                cases.append(test(sized(name, bits, (rm,)), (rm,), code, flags=CF | OF, runs=16))
            cases += divisions(bits, rm)
        code = encode_short(0xA8, bits, little(0x41, min(bits, 32)))
        cases.append(test("test", (Reg(RAX, bits), Imm(0x41)), code, flags=LOGIC))
    return cases


def divisions(bits, rm):
    """div and idiv, with dividends whose quotients fit."""
    cases = []
    full = (1 << bits) - 1
    top = 1 << (bits - 1)
    # The divisor is at least 2^(bits-1) and the dividend's upper half is less.
    if bits == 8:
        big = [fix(RAX, 0x7FFF, 0)]
        small = [fix(RAX, 0x7F, 0)]
        negative = [fix(RAX, 0x7F, 0xFF80)]
    else:
        big = [fix(RDX, full >> 1, 0)]
        small = [constant(RDX, 0), fix(RAX, full >> 1, 0)]
        negative = [constant(RDX, -1), fix(RAX, full, top)]
    slot = place(rm)
    name = sized("div", bits, (rm,))
    code = encode(op(0xF6, bits), 6, rm, bits=bits)
    cases.append(test(name, (rm,), code, flags=0, runs=12, note="double", fixes=[*big, fix(slot, full, top)]))
    cases.append(test(name, (rm,), code, flags=0, runs=12, note="single", fixes=[*small, fix(slot, full, 1)]))
    name = sized("idiv", bits, (rm,))
    code = encode(op(0xF6, bits), 7, rm, bits=bits)
    for sign, dividend in (("positive", small), ("negative", negative)):
        fixes = [*dividend, fix(slot, full >> 1, 1)]
        cases.append(test(name, (rm,), code, flags=0, runs=12, note=f"{sign} by positive", fixes=fixes))
        # -1 is left out: the quotient of the smallest number does not fit.
        fixes = [*dividend, fix(slot, full & ~2, top | 1)]
        cases.append(test(name, (rm,), code, flags=0, runs=12, note=f"{sign} by negative", fixes=fixes))
    return cases


def multiplications():
    """imul with two and three operands."""
    cases = []
    for bits in WIDE:
        for rm in operands(bits):
            for reg in (Reg(RBX, bits), Reg(11, bits)):
                two = encode(b"\x0f\xaf", reg, rm, bits=bits)
                cases.append(test("imul", (reg, rm), two, flags=CF | OF, runs=16))
                for value in (0x6B, -0x33):
                    three = encode(b"\x6b", reg, rm, bits=bits, imm=little(value, 8))
                    cases.append(test("imul", (reg, rm, Imm(value)), three, flags=CF | OF, runs=16))
                value = -0x4321
                three = encode(b"\x69", reg, rm, bits=bits, imm=little(value, min(bits, 32)))
                cases.append(test("imul", (reg, rm, Imm(value)), three, flags=CF | OF, runs=16))
    return cases


def moves():
    """mov in all its opcodes, movzx, movsx, movsxd, lea, xchg, bswap, cbw and its kin, xlat."""
    cases = []
    for bits in SIZES:
        for n in range(16):
            if n == RSP:
                continue
            reg, other = Reg(n, bits), Reg((n * 5 + 1) % 16, bits)
            other = Reg(15, bits) if other.number == RSP else other
            cases.append(test("mov", (reg, other), encode(op(0x88, bits), other, reg, bits=bits)))
            cases.append(test("mov", (reg, other), encode(op(0x8A, bits), reg, other, bits=bits)))
            cases.append(immediate(n, bits))
            cases.append(test("mov", (reg, Imm(-0x7F)), encode(op(0xC6, bits), 0, reg, bits=bits,
                                                              imm=little(-0x7F, min(bits, 32)))))
        for mem in ALL:
            cases.append(test("mov", (mem, Reg(RDX, bits)), encode(op(0x88, bits), Reg(RDX, bits), mem, bits=bits)))
            cases.append(test("mov", (Reg(11, bits), mem), encode(op(0x8A, bits), Reg(11, bits), mem, bits=bits)))
        for mem in FEW:
            imm = little(-0x12345677, min(bits, 32))
            cases.append(test(f"mov{bits}", (mem, Imm(-0x12345677)), encode(op(0xC6, bits), 0, mem, bits=bits, imm=imm)))
        target = Mem().target
        head = {8: b"", 16: b"\x66", 32: b"", 64: b"\x48"}[bits]
        cases.append(test("mov", (Reg(RAX, bits), "[moffs]"), raw(*head, *op(0xA0, bits), *little(target, 64))))
        cases.append(test("mov", ("[moffs]", Reg(RAX, bits)), raw(*head, *op(0xA2, bits), *little(target, 64))))
    for bits in (16, 32, 64):
        for mem in ALL:
            cases.append(test("lea", (Reg(RDX, bits), mem), encode(b"\x8d", Reg(RDX, bits), mem, bits=bits)))
    for high in range(4):
        reg = Reg(4 + high, 8, True)
        cases.append(test("mov", (reg, Reg(RDX, 8)), encode(b"\x88", Reg(RDX, 8), reg)))
        cases.append(test("mov", (Reg(RDX, 8), reg), encode(b"\x88", reg, Reg(RDX, 8))))
        cases.append(test("movzx", (Reg(RDX, 32), reg), encode(b"\x0f\xb6", Reg(RDX, 32), reg)))
        cases.append(test("movsx", (Reg(RDX, 32), reg), encode(b"\x0f\xbe", Reg(RDX, 32), reg)))
    return cases + extensions() + exchanges()


def immediate(n, bits):
    """`B0+r` and `B8+r`, the only instructions with eight bytes of constant."""
    value = 0x8765432112345678
    rex = (0x48 if bits == 64 else 0x40) | (n >> 3)
    head = b"\x66" if bits == 16 else b""
    if rex != 0x40 or (bits == 8 and n >= 4):
        head += bytes([rex])
    code = raw(*head, (0xB0 if bits == 8 else 0xB8) + (n & 7), *little(value, bits))
    return test("mov", (Reg(n, bits), Imm(value & (1 << bits) - 1)), code)


def extensions():
    """Narrow to wide."""
    cases = []
    for name, base in (("movzx", 0xB6), ("movsx", 0xBE)):
        for source, opcode in ((8, base), (16, base + 1)):
            for bits in (b for b in WIDE if b > source):
                for rm in [Reg(n, source) for n in range(16) if n != RSP] + FEW:
                    code = encode(bytes([0x0F, opcode]), Reg(12, bits), rm, bits=bits)
                    shown = f"{name}{source}" if isinstance(rm, Mem) else name
                    cases.append(test(shown, (Reg(12, bits), rm), code))
                code = encode(bytes([0x0F, opcode]), Reg(RBX, bits), Reg(RBX, source), bits=bits)
                cases.append(test(name, (Reg(RBX, bits), Reg(RBX, source)), code))
    for rm in [Reg(n, 32) for n in range(16) if n != RSP] + FEW:
        cases.append(test("movsxd", (Reg(12, 64), rm), encode(b"\x63", Reg(12, 64), rm, bits=64)))
    for name, code in (("cbw", (0x66, 0x98)), ("cwde", (0x98,)), ("cdqe", (0x48, 0x98)), ("cwd", (0x66, 0x99)),
                       ("cdq", (0x99,)), ("cqo", (0x48, 0x99))):
        cases.append(test(name, (), raw(*code), runs=16))
    base = Mem().target - 0x10
    cases.append(test("xlat", (), raw(0xD7), fixes=[constant(RBX, base), fix(RAX, ~0xE0 & (1 << 64) - 1)]))
    return cases


def exchanges():
    """xchg with its short forms, nop, bswap, cmpxchg, xadd."""
    cases = []
    for n in range(16):
        for bits in WIDE:
            for rex in ([None, 0x40] if n < 8 and bits != 64 else [None]):
                wanted = (0x48 if bits == 64 else 0x40) | (n >> 3)
                head = (b"\x66" if bits == 16 else b"") + (bytes([wanted]) if wanted != 0x40 or rex else b"")
                code = raw(*head, 0x90 + (n & 7))
                shown = () if n == 0 else (Reg(n, bits), Reg(RAX, bits))
                if n != RSP:
                    cases.append(test("nop" if n == 0 else "xchg", shown, code))
        if n != RSP:
            for bits in (32, 64):
                head = bytes([(0x48 if bits == 64 else 0x40) | (n >> 3)])
                head = b"" if head == b"\x40" else head
                cases.append(test("bswap", (Reg(n, bits),), raw(*head, 0x0F, 0xC8 + (n & 7))))
    for bits in SIZES:
        for a, b in PAIRS + ((12, 12), (RDX, RDX)):
            pair = (Reg(a, bits), Reg(b, bits))
            cases.append(test("xchg", pair, encode(op(0x86, bits), pair[1], pair[0], bits=bits)))
            cases.append(test("xadd", pair, encode(b"\x0f" + op(0xC0, bits), pair[1], pair[0], bits=bits)))
            code = encode(b"\x0f" + op(0xB0, bits), pair[1], pair[0], bits=bits)
            cases.append(test("cmpxchg", pair, code))
        for mem in FEW:
            for reg in (Reg(RDX, bits), Reg(8, bits)):
                cases.append(test("xchg", (mem, reg), encode(op(0x86, bits), reg, mem, bits=bits)))
                for lock, prefix in ((False, ""), (True, "lock ")):
                    code = encode(b"\x0f" + op(0xC0, bits), reg, mem, bits=bits, lock=lock)
                    cases.append(test(prefix + "xadd", (mem, reg), code))
                    code = encode(b"\x0f" + op(0xB0, bits), reg, mem, bits=bits, lock=lock)
                    cases.append(test(prefix + "cmpxchg", (mem, reg), code, note="other"))
                    same = [constant(RAX, 0x77), fix(place(mem), 0, 0x77)]
                    cases.append(test(prefix + "cmpxchg", (mem, reg), code, note="same", fixes=same))
    for mem in FEW:
        for bits, name in ((32, "cmpxchg8b"), (64, "cmpxchg16b")):
            for lock, prefix in ((False, ""), (True, "lock ")):
                # rbx is the base of an address and half of what is stored, which is as good as any value.
                code = encode(b"\x0f\xc7", 1, mem, bits=bits, lock=lock)
                cases.append(test(prefix + name, (mem,), code, note="other"))
                fixes = [constant(RAX, 0x77), constant(RDX, 0x99)]
                low = 0x77 | (0x99 << 32 if bits == 32 else 0)
                fixes += [fix(place(mem), 0, low), fix(place(mem) + 1, 0, 0x99)]
                cases.append(test(prefix + name, (mem,), code, note="same", fixes=fixes))
    return cases


def tests():
    """test, cmov, set: what flags are for."""
    cases = []
    conditions = "o no b ae e ne be a s ns p np l ge le g".split()
    for bits in SIZES:
        for a, b in PAIRS:
            code = encode(op(0x84, bits), Reg(b, bits), Reg(a, bits), bits=bits)
            cases.append(test("test", (Reg(a, bits), Reg(b, bits)), code, flags=LOGIC))
        for mem in FEW:
            code = encode(op(0x84, bits), Reg(RDX, bits), mem, bits=bits)
            cases.append(test("test", (mem, Reg(RDX, bits)), code, flags=LOGIC))
    for number, name in enumerate(conditions):
        for bits in WIDE:
            for reg, rm in [(Reg(RDX, bits), Reg(13, bits)), (Reg(8, bits), Reg(RCX, bits))]:
                code = encode(bytes([0x0F, 0x40 + number]), reg, rm, bits=bits)
                cases.append(test(f"cmov{name}", (reg, rm), code, runs=12))
            for mem in FEW:
                code = encode(bytes([0x0F, 0x40 + number]), Reg(RDX, bits), mem, bits=bits)
                cases.append(test(f"cmov{name}", (Reg(RDX, bits), mem), code, runs=12))
        for rm in [Reg(RAX, 8), Reg(5, 8), Reg(7, 8, True), Reg(14, 8)] + FEW:
            code = encode(bytes([0x0F, 0x90 + number]), 0, rm)
            cases.append(test(f"set{name}", (rm,), code, runs=12))
    return cases


def simple():
    """Flags by themselves, and instructions that must change nothing."""
    cases = []
    for name, byte in (("cmc", 0xF5), ("clc", 0xF8), ("stc", 0xF9), ("lahf", 0x9F), ("sahf", 0x9E)):
        cases.append(test(name, (), raw(byte), runs=16))
    for n in range(1, 8):
        long = (0x66,) * (n > 6) + (0x0F, 0x1F) + ((0x00,), (0x40, 0), (0x44, 0, 0), (0x80, 0, 0, 0, 0),
                                                     (0x84, 0, 0, 0, 0, 0), (0x84, 0, 0, 0, 0, 0), (0x00,))[n - 1]
        cases.append(test("nop", (f"{n}",), raw(*long), fixes=[constant(RAX, Mem().target)]))
    for name, code in (("pause", (0xF3, 0x90)), ("mfence", (0x0F, 0xAE, 0xF0)), ("lfence", (0x0F, 0xAE, 0xE8)),
                       ("sfence", (0x0F, 0xAE, 0xF8)), ("endbr64", (0xF3, 0x0F, 0x1E, 0xFA))):
        cases.append(test(name, (), raw(*code)))
    for mem in FEW:
        for name, opcode, number in (("prefetchnta", b"\x0f\x18", 0), ("prefetcht0", b"\x0f\x18", 1),
                                     ("clflush", b"\x0f\xae", 7)):
            cases.append(test(name, (mem,), encode(opcode, number, mem)))
        for bits in (32, 64):
            reg = Reg(RDX, bits)
            cases.append(test("movnti", (mem, reg), encode(b"\x0f\xc3", reg, mem, bits=bits)))
    return cases


def bits_found():
    """bsf and bsr; with 0 only the flag is defined, and the destination of the wide form, which every processor keeps."""
    cases = []
    for name, opcode in (("bsf", 0xBC), ("bsr", 0xBD)):
        for bits in WIDE:
            for rm in operands(bits):
                reg = Reg(RDX, bits)
                code = encode(bytes([0x0F, opcode]), reg, rm, bits=bits)
                some = [fix(place(rm), (1 << 64) - 1, 0x100)]
                cases.append(test(name, (reg, rm), code, flags=ZF, runs=16, fixes=some))
            code = encode(bytes([0x0F, opcode]), Reg(RDX, bits), Reg(RCX, bits), bits=bits)
            if bits == 64:
                none = [constant(RCX, 0)]
                cases.append(test(name, (Reg(RDX, 64), Reg(RCX, 64)), code, flags=ZF, fixes=none, note="of 0"))
    return cases


def cases() -> list[Case]:
    """All of them."""
    parts = (arithmetic, one_operand, multiplications, moves, tests, simple, bits_found)
    return [case for part in parts for case in part()] + shifts.cases() + control.cases()


__all__ = ["HIGH", "cases", "memory", "sequence"]
