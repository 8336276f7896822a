"""Cases of strings, the stack, jumps, calls, and the state that a context switch saves."""

from case import DF, FLAGS_SLOT, KEEP, constant, fix, sequence, test
from encode import FEW, MEMORY, RAX, RBP, RBX, RCX, RDI, RDX, RSI, RSP, R8, R64, Mem, Reg, encode, little, raw

SIZES = (8, 16, 32, 64)
HERE = MEMORY + 0x40
THERE = MEMORY + 0xA0
STACK = MEMORY + 0x80


def strings():
    """movs, stos, lods, scas, cmps: every size, up and down, alone and repeated."""
    cases = []
    kinds = (("movs", 0xA4, ("", "rep")), ("stos", 0xAA, ("", "rep")), ("lods", 0xAC, ("", "rep")),
             ("scas", 0xAE, ("", "repe", "repne")), ("cmps", 0xA6, ("", "repe", "repne")))
    for name, opcode, repeats in kinds:
        for bits in SIZES:
            for repeat in repeats:
                prefix = {"": b"", "rep": b"\xf3", "repe": b"\xf3", "repne": b"\xf2"}[repeat]
                head = prefix + {8: b"", 16: b"\x66", 32: b"", 64: b"\x48"}[bits]
                if bits == 16:
                    head = b"\x66" + prefix
                code = raw(*head, opcode + (bits != 8))
                for count in (0, 1, 5) if repeat else (1,):
                    for down in (False, True):
                        fixes = [constant(RSI, HERE), constant(RDI, THERE), constant(RCX, count)]
                        fixes.append(fix(FLAGS_SLOT, KEEP & ~DF, DF if down else 0))
                        note = f"{count} {'down' if down else 'up'}"
                        shown = f"{repeat} {name}{bits}".strip()
                        cases.append(test(shown, (), code, fixes=fixes, note=note))
                        if name in ("scas", "cmps") and repeat:
                            # Equal all the way, for the repetition to go on.
                            same = [constant(RAX, 0)] + [constant(slot, 0) for slot in range(48, 80)]
                            cases.append(test(shown, (), code, fixes=fixes + same, note=note + " equal"))
    return cases


def stack():
    """push, pop, pushf, popf, enter and leave."""
    cases = []
    here = constant(RSP, STACK)
    for n in range(16):
        head = b"\x41" if n > 7 else b""
        for bits, prefix in ((64, b""), (16, b"\x66")):
            reg = Reg(n, bits)
            cases.append(test("push", (reg,), raw(*prefix, *head, 0x50 + (n & 7)), fixes=[here]))
            cases.append(test("pop", (reg,), raw(*prefix, *head, 0x58 + (n & 7)), fixes=[here]))
            cases.append(test("push", (reg,), encode(b"\xff", 6, reg, bits=bits if bits == 16 else 32), fixes=[here]))
            cases.append(test("pop", (reg,), encode(b"\x8f", 0, reg, bits=bits if bits == 16 else 32), fixes=[here]))
    for mem in FEW + [Mem(base=RBP, size=8), Mem(base=12), Mem(base=9, index=10, scale=8, size=32), Mem()]:
        for bits in (64, 16):
            code = encode(b"\xff", 6, mem, bits=bits if bits == 16 else 32)
            cases.append(test(f"push{bits}", (mem,), code, fixes=[here]))
            code = encode(b"\x8f", 0, mem, bits=bits if bits == 16 else 32)
            cases.append(test(f"pop{bits}", (mem,), code, fixes=[here]))
    # An address on the stack counts from the new top for pop.
    for name, opcode, number in (("push", b"\xff", 6), ("pop", b"\x8f", 0)):
        mem = Mem(base=RSP, size=8, target=STACK - 0x24)
        cases.append(test(f"{name}64", (mem,), encode(opcode, number, mem)))
    for value in (0x5A, -0x5A):
        cases.append(test("push", (f"{value:#x}",), raw(0x6A, *little(value, 8)), fixes=[here]))
        cases.append(test("push", (f"{value:#x}",), raw(0x68, *little(value, 32)), fixes=[here]))
        cases.append(test("push", (f"{value:#x}",), raw(0x66, 0x68, *little(value, 16)), fixes=[here]))
    cases.append(sequence("pushfq; pop rax; and eax,8d5 [9c 58 25 d5 08 00 00]", raw(0x9C, 0x58, 0x25, 0xD5, 8, 0, 0),
                          fixes=(here,), runs=12))
    flags = [fix(48 + (STACK - MEMORY) // 8, 0x8D5, 0x202)]
    cases.append(test("popfq", (), raw(0x9D), fixes=[here, *flags], runs=12))
    cases.append(test("leave", (), raw(0xC9), fixes=[constant(RBP, STACK)]))
    cases.append(test("enter", ("0x20", "0"), raw(0xC8, 0x20, 0, 0), fixes=[here]))
    return cases


def jumps():
    """Every condition in both sizes, loops, calls and returns. `inc rax` is what is jumped over."""
    cases = []
    over = raw(0x48, 0xFF, 0xC0)
    conditions = "o no b ae e ne be a s ns p np l ge le g".split()
    for number, name in enumerate(conditions):
        for kind, jump in (("short", raw(0x70 + number, 3)), ("near", raw(0x0F, 0x80 + number, 3, 0, 0, 0))):
            cases.append(sequence(f"j{name} {kind}; inc rax [{jump.text()} {over.text()}]", jump, over, runs=12))
    for kind, jump in (("short", raw(0xEB, 3)), ("near", raw(0xE9, 3, 0, 0, 0))):
        cases.append(sequence(f"jmp {kind}; inc rax [{jump.text()} {over.text()}]", jump, over))
    for name, opcode in (("loopne", 0xE0), ("loope", 0xE1), ("loop", 0xE2)):
        for count in (1, 7):
            code = raw(opcode, 0xFB)
            cases.append(sequence(f"inc rax; {name} count {count} [{over.text()} {code.text()}]", over, code,
                                  fixes=(constant(RCX, count),)))
    for name, jump in (("jrcxz", raw(0xE3, 3)), ("jecxz", raw(0x67, 0xE3, 3))):
        for value in (0, 1, 1 << 32):
            cases.append(sequence(f"{name} of {value:#x}; inc rax [{jump.text()} {over.text()}]", jump, over,
                                  fixes=(constant(RCX, value),)))
    here = constant(RSP, STACK)
    # call +2; jmp +4; inc rax; ret. What call left on the stack depends on the layout, so it is overwritten.
    clean = encode(b"\xc7", 0, Mem(target=STACK - 8), bits=64, imm=bytes(4))
    called = raw(0xE8, 2, 0, 0, 0, 0xEB, 4, 0x48, 0xFF, 0xC0, 0xC3)
    cases.append(sequence(f"call; ret [{called.text()}]", called, clean, fixes=(here,)))
    called = raw(0xE8, 2, 0, 0, 0, 0xEB, 6, 0x48, 0xFF, 0xC0, 0xC2, 8, 0)
    cases.append(sequence(f"call; ret 8 [{called.text()}]", called, clean, fixes=(here,)))
    for n in range(16):
        if n == RSP:
            continue
        # lea reg, [rip+after]; jmp reg; inc rax; after: xor of the address, which depends on the layout.
        lea = raw(0x48 | (4 if n > 7 else 0), 0x8D, 0x05 | (n & 7) << 3, 5 + (n > 7), 0, 0, 0)
        jump = encode(b"\xff", 4, Reg(n, 32))
        clear = encode(b"\x31", Reg(n, 32), Reg(n, 32))
        cases.append(sequence(f"lea {R64[n]}; jmp {R64[n]} [{lea.text()} {jump.text()}]", lea, jump, over, clear))
    return cases


def switches():
    """What a kernel does with the vector state: saves, clears and restores it."""
    cases = []
    clear = [raw(*([0x45] if n > 7 else []), 0x0F, 0x57, 0xC0 | (n & 7) << 3 | n & 7) for n in range(16)]
    clear = [raw(*([0x45] if n > 7 else []), *part.data[-3:]) for n, part in enumerate(clear)]
    area = 0x20002400
    for name, bits in (("fxsave; fxrstor", 32), ("fxsave64; fxrstor64", 64)):
        for mem in (Mem(base=RBX, target=area), Mem(rip=True, target=area), Mem(base=12, index=9, scale=2, size=8, target=area)):
            save, restore = (encode(b"\x0f\xae", number, mem, bits=bits) for number in (0, 1))
            fixes = tuple(constant(register, value) for register, value in mem.registers())
            cases.append(sequence(f"{name} {mem} [{save.text()}] [{restore.text()}]", save, *clear, restore, fixes=fixes))
    for mem in FEW:
        # Rounding is changed through memory, seen in mxcsr, and put back.
        store, load = (encode(b"\x0f\xae", number, mem) for number in (3, 2))
        fixes = tuple(constant(register, value) for register, value in mem.registers())
        fixes += (fix(48 + (mem.target - MEMORY) // 8, 0, 0x7F80),)
        back = raw(0xC7, 0x04, 0x25, *little(mem.target + 8, 32), 0x80, 0x1F, 0, 0)
        again = encode(b"\x0f\xae", 2, Mem(target=mem.target + 8))
        cases.append(sequence(f"ldmxcsr {mem}; stmxcsr {mem} [{load.text()}] [{store.text()}]", load,
                              raw(0xC7, 0x04, 0x25, *little(mem.target, 32), 0, 0, 0, 0), store, back, again, fixes=fixes))
    # A system call keeps everything but rax, rcx and r11: getpid, and then what it says is cleared.
    call = raw(0xB8, 39, 0, 0, 0, 0x0F, 0x05, 0x31, 0xC0, 0x31, 0xC9, 0x45, 0x31, 0xDB)
    cases.append(sequence(f"getpid [{call.text()}]", call, runs=16))
    call = raw(0xB8, 24, 0, 0, 0, 0x0F, 0x05, 0x31, 0xC0, 0x31, 0xC9, 0x45, 0x31, 0xDB)
    cases.append(sequence(f"sched_yield [{call.text()}]", call, runs=16))
    return cases


def cases():
    """All of them."""
    return strings() + stack() + jumps() + switches()


__all__ = ["R8", "RDX", "cases"]
