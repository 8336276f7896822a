"""Machine code from opcodes and operands, so that every encoding of an instruction can be asked for.

An assembler picks one encoding for an instruction, and so never writes some that compilers and people do write. Here a
case says the opcode, which operand is where and how an address is put together.
"""

import dataclasses

# Fixed addresses, which build.sh tells the linker too.
CASES = 0x10000000
ARENA = 0x20000000
# 32 words that instructions work on. An operand is in their middle.
MEMORY = ARENA + 0x400
OPERAND = MEMORY + 0x60

R64 = "rax rcx rdx rbx rsp rbp rsi rdi r8 r9 r10 r11 r12 r13 r14 r15".split()
R32 = "eax ecx edx ebx esp ebp esi edi".split() + [f"r{n}d" for n in range(8, 16)]
R16 = "ax cx dx bx sp bp si di".split() + [f"r{n}w" for n in range(8, 16)]
R8 = "al cl dl bl spl bpl sil dil".split() + [f"r{n}b" for n in range(8, 16)]
HIGH = ["ah", "ch", "dh", "bh"]
NAMES = {8: R8, 16: R16, 32: R32, 64: R64}
RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI = range(8)


@dataclasses.dataclass(frozen=True)
class Reg:
    """A register: its number, and its width in bits, 128 for xmm. `high` is for ah, ch, dh and bh, numbered 4 to 7."""

    number: int
    bits: int
    high: bool = False

    def __str__(self):
        if self.bits == 128:
            return f"xmm{self.number}"
        return HIGH[self.number - 4] if self.high else NAMES[self.bits][self.number]


@dataclasses.dataclass(frozen=True)
class Mem:
    """An operand in memory. `size` is that of the displacement: 0, 8 or 32 bits. Its address is `target`."""

    base: int | None = None
    index: int | None = None
    scale: int = 1
    size: int = 0
    rip: bool = False
    short: bool = False  # address-size prefix
    target: int = OPERAND

    # What the index register holds, and the displacement.
    INDEX = 5

    @property
    def disp(self):
        if self.base is None:
            return self.target - (self.INDEX * self.scale if self.index is not None else 0)
        return {0: 0, 8: -0x24, 32: 0x1234567}[self.size]

    def registers(self):
        """What registers must hold for the address to be the target."""
        wanted = []
        used = 0
        high = 0xFEDC_BA98_0000_0000 if self.short else 0
        if self.index is not None:
            wanted.append((self.index, self.INDEX | high))
            used = self.INDEX * self.scale
        if self.base is not None:
            wanted.append((self.base, (self.target - used - self.disp) | high))
        return wanted

    def __str__(self):
        if self.rip:
            return "[rip+d]"
        names = R32 if self.short else R64
        parts = [names[self.base]] if self.base is not None else []
        if self.index is not None:
            parts.append(f"{names[self.index]}*{self.scale}")
        if self.size or self.base is None:
            parts.append(f"d{self.size or 32}")
        return f"[{'+'.join(parts)}]"


@dataclasses.dataclass(frozen=True)
class Code:
    """Bytes, and where in them is a displacement from rip, if there is one, with the address that it must lead to."""

    data: bytes
    rip_at: int | None = None
    target: int = 0

    def placed(self, address):
        """The bytes when they are at an address."""
        if self.rip_at is None:
            return self.data
        disp = self.target - (address + len(self.data))
        return self.data[: self.rip_at] + disp.to_bytes(4, "little", signed=True) + self.data[self.rip_at + 4 :]

    def text(self):
        """The bytes in hexadecimal; those that depend on the place are dots."""
        shown = [f"{byte:02x}" for byte in self.data]
        if self.rip_at is not None:
            shown[self.rip_at : self.rip_at + 4] = [".."] * 4
        return " ".join(shown)


def raw(*data):
    """Bytes as they are."""
    return Code(bytes(data))


def little(value, bits):
    """A constant of so many bits."""
    return (value & ((1 << bits) - 1)).to_bytes(bits // 8, "little")


def encode(opcode, reg, rm, *, prefix=b"", bits=32, imm=b"", lock=False, rex=None):
    """An instruction with a ModRM byte.

    `reg` is a `Reg` or the number of an opcode extension; `bits` 16 and 64 ask for the prefix 66 and for REX.W. `rex` are
    bits to set in a REX prefix that would not be needed.
    """
    number = reg.number if isinstance(reg, Reg) else reg
    wanted = (8 if bits == 64 else 0) | (4 if number & 8 else 0)
    force = rex is not None or any(low_byte(operand) for operand in (reg, rm))
    if isinstance(rm, Reg):
        wanted |= 1 if rm.number & 8 else 0
        tail = bytes([0xC0 | (number & 7) << 3 | rm.number & 7])
        rip_at = None
    else:
        extended, tail, rip_at = address(number & 7, rm)
        wanted |= extended
    wanted |= rex or 0
    head = b"\xf0" if lock else b""
    head += b"\x67" if isinstance(rm, Mem) and rm.short else b""
    head += b"\x66" if bits == 16 else b""
    head += prefix
    head += bytes([0x40 | wanted]) if wanted or force else b""
    head += opcode
    at = None if rip_at is None else len(head) + rip_at
    return Code(head + tail + imm, at, rm.target if isinstance(rm, Mem) else 0)


def low_byte(operand):
    """Whether it is spl, bpl, sil or dil, which only REX names."""
    return isinstance(operand, Reg) and operand.bits == 8 and 4 <= operand.number < 8 and not operand.high


def address(reg, mem):
    """REX bits, ModRM with what follows it, and where in that a displacement from rip is."""
    if mem.rip:
        return 0, bytes([reg << 3 | 5]) + bytes(4), 1
    rex = (1 if (mem.base or 0) & 8 else 0) | (2 if (mem.index or 0) & 8 else 0)
    if mem.base is None:
        index = 4 if mem.index is None else mem.index & 7
        sib = mem.scale.bit_length() - 1 << 6 | index << 3 | 5
        return rex, bytes([reg << 3 | 4, sib]) + little(mem.disp, 32), None
    size = mem.size
    if size == 0 and mem.base & 7 == 5:
        raise ValueError("this base needs a displacement")
    mode = {0: 0, 8: 1, 32: 2}[size] << 6
    disp = little(mem.disp, size) if size else b""
    if mem.index is None and mem.base & 7 != 4:
        return rex, bytes([mode | reg << 3 | mem.base & 7]) + disp, None
    index = 4 if mem.index is None else mem.index & 7
    sib = mem.scale.bit_length() - 1 << 6 | index << 3 | mem.base & 7
    return rex, bytes([mode | reg << 3 | 4, sib]) + disp, None


# A few addresses that use every part of an encoding, for every instruction.
FEW = [
    Mem(base=RBX),
    Mem(base=13, size=32),
    Mem(base=RBX, index=9, scale=4, size=8),
    Mem(rip=True),
]
# Every base and index register and every way to put them together, for a few instructions.
ALL = (
    [Mem(base=n) for n in range(16) if n & 7 != 5]
    + [Mem(base=n, size=8) for n in range(16)]
    + [Mem(base=n, size=32) for n in range(16)]
    + [Mem(base=RBX, index=n, scale=2) for n in range(16) if n not in (RBX, RSP)]
    + [Mem(base=n, index=RCX, scale=8) for n in range(16) if n & 7 != 5 and n != RCX]
    + [Mem(base=n, index=12, scale=4, size=8) for n in range(16) if n != 12]
    + [Mem(base=RSI, index=n, scale=1, size=32) for n in (RAX, RBP, RDI, 8, 12, 13, 15)]
    + [Mem(index=n, scale=s) for n in (RAX, RBP, 12, 13) for s in (1, 2, 4, 8)]
    + [Mem(), Mem(rip=True)]
    + [Mem(base=RBX, short=True), Mem(base=13, size=8, short=True), Mem(base=9, index=10, scale=2, short=True)]
)
