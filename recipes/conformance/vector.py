"""Cases of SSE, SSE2, SSE3 and SSSE3."""

from case import ALL_FLAGS, AF, fix, test
from encode import FEW, RDX, Mem, Reg, encode, little

FULL = (1 << 64) - 1
NONE, P66, PF3, PF2 = b"", b"\x66", b"\xf3", b"\xf2"
X = 128

# Whole numbers in xmm registers, as 66 0F xx.
WHOLE = {
    0x60: "punpcklbw", 0x61: "punpcklwd", 0x62: "punpckldq", 0x63: "packsswb", 0x64: "pcmpgtb", 0x65: "pcmpgtw",
    0x66: "pcmpgtd", 0x67: "packuswb", 0x68: "punpckhbw", 0x69: "punpckhwd", 0x6A: "punpckhdq", 0x6B: "packssdw",
    0x6C: "punpcklqdq", 0x6D: "punpckhqdq", 0x74: "pcmpeqb", 0x75: "pcmpeqw", 0x76: "pcmpeqd", 0xD1: "psrlw",
    0xD2: "psrld", 0xD3: "psrlq", 0xD4: "paddq", 0xD5: "pmullw", 0xD8: "psubusb", 0xD9: "psubusw", 0xDA: "pminub",
    0xDB: "pand", 0xDC: "paddusb", 0xDD: "paddusw", 0xDE: "pmaxub", 0xDF: "pandn", 0xE0: "pavgb", 0xE1: "psraw",
    0xE2: "psrad", 0xE3: "pavgw", 0xE4: "pmulhuw", 0xE5: "pmulhw", 0xE8: "psubsb", 0xE9: "psubsw", 0xEA: "pminsw",
    0xEB: "por", 0xEC: "paddsb", 0xED: "paddsw", 0xEE: "pmaxsw", 0xEF: "pxor", 0xF1: "psllw", 0xF2: "pslld",
    0xF3: "psllq", 0xF4: "pmuludq", 0xF5: "pmaddwd", 0xF6: "psadbw", 0xF8: "psubb", 0xF9: "psubw", 0xFA: "psubd",
    0xFB: "psubq", 0xFC: "paddb", 0xFD: "paddw", 0xFE: "paddd",
}
SHIFTS = {0xD1, 0xD2, 0xD3, 0xE1, 0xE2, 0xF1, 0xF2, 0xF3}
# SSSE3, as 66 0F 38 xx.
SSSE3 = {
    0x00: "pshufb", 0x01: "phaddw", 0x02: "phaddd", 0x03: "phaddsw", 0x04: "pmaddubsw", 0x05: "phsubw", 0x06: "phsubd",
    0x07: "phsubsw", 0x08: "psignb", 0x09: "psignw", 0x0A: "psignd", 0x0B: "pmulhrsw", 0x1C: "pabsb", 0x1D: "pabsw",
    0x1E: "pabsd",
}
FOUR = ((NONE, "ps", 16), (P66, "pd", 16), (PF3, "ss", 4), (PF2, "sd", 8))
COMPARISONS = "eq lt le unord neq nlt nle ord".split()
# Which values a kind of float is tried on, by the runner's numbers.
VALUES = {"s": (("", 4), ("edges", 5), ("nan", 6)), "d": (("", 1), ("edges", 2), ("nan", 3))}


class Word(str):
    """An operand that is shown as it is."""


def pairs():
    """Registers with and without REX, one with itself, and the few addresses."""
    return [(Reg(1, X), Reg(2, X)), (Reg(9, X), Reg(3, X)), (Reg(4, X), Reg(12, X)), (Reg(15, X), Reg(8, X)),
            (Reg(5, X), Reg(5, X))] + [(Reg(6, X), mem) for mem in FEW] + [(Reg(11, X), FEW[0]), (Reg(11, X), FEW[3])]


def plain(mnemonic, prefix, opcode, values=0, note="", imm=b"", **rest):
    """An instruction with a destination in a register, from a register or memory."""
    shown = (Word(str(imm[0])),) if imm else ()
    return [test(mnemonic, (reg, rm, *shown), encode(opcode, reg, rm, prefix=prefix, imm=imm), values=values, note=note, **rest)
            for reg, rm in pairs()]


def whole():
    """Whole numbers."""
    cases = []
    for opcode, name in WHOLE.items():
        cases += plain(name, P66, bytes([0x0F, opcode]), runs=12)
        if opcode in SHIFTS:
            for note, value in (("count small", 5), ("count width", 16), ("count large", 1 << 40)):
                code = encode(bytes([0x0F, opcode]), Reg(1, X), Reg(10, X), prefix=P66)
                cases.append(test(name, (Reg(1, X), Reg(10, X)), code, fixes=[fix(16 + 20, 0, value)], note=note, values=0))
    for opcode, name in SSSE3.items():
        if name == "pshufb":
            code = encode(b"\x0f\x38\x00", Reg(1, X), Reg(10, X), prefix=P66)
            selectors = [fix(36, 0x0F0F0F0F0F0F0F0F), fix(37, 0x0F0F0F0F0F0F0F0F)]
            cases.append(test("pshufb", (Reg(1, X), Reg(10, X)), code, fixes=selectors, runs=12, note="no zeroes", values=0))
        cases += plain(name, P66, bytes([0x0F, 0x38, opcode]), runs=12)
    for count in (0, 3, 15, 16, 20, 31, 32, 255):
        cases += plain("palignr", P66, b"\x0f\x3a\x0f", imm=bytes([count]), runs=4)
    for value in (0x00, 0x1B, 0x4E, 0xB1, 0xFF):
        for name, prefix in (("pshufd", P66), ("pshufhw", PF3), ("pshuflw", PF2)):
            cases += plain(name, prefix, b"\x0f\x70", imm=bytes([value]), runs=4)
        cases += plain("shufps", NONE, b"\x0f\xc6", imm=bytes([value]), runs=4)
        cases += plain("shufpd", P66, b"\x0f\xc6", imm=bytes([value]), runs=4)
    groups = ((0x71, ((2, "psrlw"), (4, "psraw"), (6, "psllw"))), (0x72, ((2, "psrld"), (4, "psrad"), (6, "pslld"))),
              (0x73, ((2, "psrlq"), (3, "psrldq"), (6, "psllq"), (7, "pslldq"))))
    for opcode, names in groups:
        for number, name in names:
            for n in (1, 13):
                for count in (0, 1, 7, 15, 16, 31, 32, 63, 64, 255):
                    code = encode(bytes([0x0F, opcode]), number, Reg(n, X), prefix=P66, imm=bytes([count]))
                    cases.append(test(name, (Reg(n, X), Word(str(count))), code, runs=4))
    return cases


def lanes():
    """Between lanes and general registers."""
    cases = []
    for n, x in ((RDX, 1), (8, 2), (RDX, 14), (15, 15)):
        for bits, name in ((32, "movd"), (64, "movq")):
            code = encode(b"\x0f\x6e", Reg(x, X), Reg(n, bits), prefix=P66, bits=bits)
            cases.append(test(name, (Reg(x, X), Reg(n, bits)), code))
            code = encode(b"\x0f\x7e", Reg(x, X), Reg(n, bits), prefix=P66, bits=bits)
            cases.append(test(name, (Reg(n, bits), Reg(x, X)), code))
        for lane in (0, 3, 7, 0xFD):
            code = encode(b"\x0f\xc4", Reg(x, X), Reg(n, 32), prefix=P66, imm=bytes([lane]))
            cases.append(test("pinsrw", (Reg(x, X), Reg(n, 32), Word(str(lane))), code))
            code = encode(b"\x0f\xc5", Reg(n, 32), Reg(x, X), prefix=P66, imm=bytes([lane]))
            cases.append(test("pextrw", (Reg(n, 32), Reg(x, X), Word(str(lane))), code))
        for name, prefix, opcode in (("pmovmskb", P66, 0xD7), ("movmskps", NONE, 0x50), ("movmskpd", P66, 0x50)):
            code = encode(bytes([0x0F, opcode]), Reg(n, 32), Reg(x, X), prefix=prefix)
            cases.append(test(name, (Reg(n, 32), Reg(x, X)), code, runs=12, values=0))
    for mem in FEW:
        for bits, name in ((32, "movd"), (64, "movq")):
            cases.append(test(name, (Reg(3, X), mem), encode(b"\x0f\x6e", Reg(3, X), mem, prefix=P66, bits=bits)))
            cases.append(test(name, (mem, Reg(3, X)), encode(b"\x0f\x7e", Reg(3, X), mem, prefix=P66, bits=bits)))
        code = encode(b"\x0f\xc4", Reg(3, X), mem, prefix=P66, imm=b"\x05")
        cases.append(test("pinsrw", (Reg(3, X), mem, Word("5")), code))
    return cases


def moves():
    """Loads and stores of every kind, aligned or not."""
    cases = []
    both = (("movups", NONE, 0x10, 0x11), ("movupd", P66, 0x10, 0x11), ("movss", PF3, 0x10, 0x11),
            ("movsd", PF2, 0x10, 0x11), ("movaps", NONE, 0x28, 0x29), ("movapd", P66, 0x28, 0x29),
            ("movdqa", P66, 0x6F, 0x7F), ("movdqu", PF3, 0x6F, 0x7F))
    for name, prefix, load, store in both:
        for reg, rm in pairs():
            cases.append(test(name, (reg, rm), encode(bytes([0x0F, load]), reg, rm, prefix=prefix)))
            cases.append(test(name, (rm, reg), encode(bytes([0x0F, store]), reg, rm, prefix=prefix)))
        if name in ("movups", "movupd", "movdqu", "movss", "movsd"):
            odd = Mem(base=RDX, target=FEW[0].target + 3)
            cases.append(test(name, (Reg(1, X), odd), encode(bytes([0x0F, load]), Reg(1, X), odd, prefix=prefix), note="odd"))
            cases.append(test(name, (odd, Reg(1, X)), encode(bytes([0x0F, store]), Reg(1, X), odd, prefix=prefix), note="odd"))
    memory = (("movlps", NONE, 0x12, 0x13), ("movlpd", P66, 0x12, 0x13), ("movhps", NONE, 0x16, 0x17),
              ("movhpd", P66, 0x16, 0x17), ("lddqu", PF2, 0xF0, None), ("movntps", NONE, None, 0x2B),
              ("movntpd", P66, None, 0x2B), ("movntdq", P66, None, 0xE7))
    for name, prefix, load, store in memory:
        for mem in FEW:
            for reg in (Reg(1, X), Reg(10, X)):
                if load is not None:
                    cases.append(test(name, (reg, mem), encode(bytes([0x0F, load]), reg, mem, prefix=prefix)))
                if store is not None:
                    cases.append(test(name, (mem, reg), encode(bytes([0x0F, store]), reg, mem, prefix=prefix)))
    for name, prefix, opcode in (("movhlps", NONE, 0x12), ("movlhps", NONE, 0x16)):
        for reg, rm in pairs()[:5]:
            cases.append(test(name, (reg, rm), encode(bytes([0x0F, opcode]), reg, rm, prefix=prefix)))
    cases += plain("movq", PF3, b"\x0f\x7e") + plain("movddup", PF2, b"\x0f\x12")
    cases += plain("movsldup", PF3, b"\x0f\x12") + plain("movshdup", PF3, b"\x0f\x16")
    for reg, rm in pairs():
        cases.append(test("movq", (rm, reg), encode(b"\x0f\xd6", reg, rm, prefix=P66)))
    odd = Mem(base=RDX, target=FEW[0].target + 3)
    cases.append(test("lddqu", (Reg(1, X), odd), encode(b"\x0f\xf0", Reg(1, X), odd, prefix=PF2), note="odd"))
    # maskmovdqu stores to [rdi].
    for reg, rm in pairs()[:4]:
        address = (7, 0, Mem().target)
        cases.append(test("maskmovdqu", (reg, rm), encode(b"\x0f\xf7", reg, rm, prefix=P66), fixes=[address]))
    return cases


def floats():
    """Arithmetic, comparison and logic of floats: ordinary values, edges (zeroes, infinities, denormals), and NaNs."""
    cases = []
    for opcode, name in ((0x51, "sqrt"), (0x58, "add"), (0x59, "mul"), (0x5C, "sub"), (0x5D, "min"), (0x5E, "div"),
                         (0x5F, "max")):
        for prefix, suffix, _ in FOUR:
            for note, values in VALUES[suffix[1]]:
                cases += plain(name + suffix, prefix, bytes([0x0F, opcode]), values, note, runs=8)
    for prefix, suffix, _ in FOUR:
        for number, name in enumerate(COMPARISONS):
            for note, values in VALUES[suffix[1]]:
                code = b"\x0f\xc2"
                made = plain(f"cmp{name}{suffix}", prefix, code, values, note, imm=bytes([number]), runs=4)
                cases += made if name in ("eq", "unord") else made[:2] + made[5:6] + made[8:9]
    for name, opcode in (("and", 0x54), ("andn", 0x55), ("or", 0x56), ("xor", 0x57), ("unpckl", 0x14), ("unpckh", 0x15)):
        for prefix, suffix, _ in FOUR[:2]:
            cases += plain(name + suffix, prefix, bytes([0x0F, opcode]))
    for name, opcode in (("hadd", 0x7C), ("hsub", 0x7D), ("addsub", 0xD0)):
        for prefix, kind in ((P66, "pd"), (PF2, "ps")):
            for note, values in VALUES[kind[1]]:
                cases += plain(name + kind, prefix, bytes([0x0F, opcode]), values, note)
    for name, opcode in (("ucomi", 0x2E), ("comi", 0x2F)):
        for prefix, suffix in ((NONE, "ss"), (P66, "sd")):
            for note, values in VALUES[suffix[1]]:
                cases += plain(name + suffix, prefix, bytes([0x0F, opcode]), values, note, runs=12, flags=ALL_FLAGS)
    return cases


def conversions():
    """Between whole numbers and floats, and between floats."""
    cases = []
    for name, prefix, opcode, kind in (("cvtps2pd", NONE, 0x5A, "s"), ("cvtpd2ps", P66, 0x5A, "d"), ("cvtss2sd", PF3, 0x5A, "s"),
                                       ("cvtsd2ss", PF2, 0x5A, "d"), ("cvtps2dq", P66, 0x5B, "s"),
                                       ("cvttps2dq", PF3, 0x5B, "s"), ("cvttpd2dq", P66, 0xE6, "d"),
                                       ("cvtpd2dq", PF2, 0xE6, "d")):
        for note, values in VALUES[kind]:
            cases += plain(name, prefix, bytes([0x0F, opcode]), values, note, runs=8)
    cases += plain("cvtdq2ps", NONE, b"\x0f\x5b", runs=12) + plain("cvtdq2pd", PF3, b"\x0f\xe6", runs=12)
    for prefix, suffix in ((PF3, "ss"), (PF2, "sd")):
        for bits in (32, 64):
            for x, n in ((1, RDX), (9, 10)):
                code = encode(b"\x0f\x2a", Reg(x, X), Reg(n, bits), prefix=prefix, bits=bits)
                cases.append(test(f"cvtsi2{suffix}", (Reg(x, X), Reg(n, bits)), code, runs=16))
                for opcode, name in ((0x2C, f"cvtt{suffix}2si"), (0x2D, f"cvt{suffix}2si")):
                    for note, values in VALUES[suffix[1]]:
                        code = encode(bytes([0x0F, opcode]), Reg(n, bits), Reg(x, X), prefix=prefix, bits=bits)
                        cases.append(test(name, (Reg(n, bits), Reg(x, X)), code, values=values, note=note, runs=12))
            for mem in FEW:
                code = encode(b"\x0f\x2a", Reg(1, X), mem, prefix=prefix, bits=bits)
                cases.append(test(f"cvtsi2{suffix}", (Reg(1, X), mem), code, runs=8))
                for opcode, name in ((0x2C, f"cvtt{suffix}2si"), (0x2D, f"cvt{suffix}2si")):
                    for note, values in VALUES[suffix[1]]:
                        code = encode(bytes([0x0F, opcode]), Reg(RDX, bits), mem, prefix=prefix, bits=bits)
                        cases.append(test(name, (Reg(RDX, bits), mem), code, values=values, note=note, runs=8))
    return cases


def cases():
    """All of them."""
    return whole() + lanes() + moves() + floats() + conversions()


__all__ = ["AF", "cases", "little"]
