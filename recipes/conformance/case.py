"""What a case is, and how one is made from an instruction."""

import dataclasses

from encode import MEMORY, OPERAND, Code, Mem, Reg

CF, PF, AF, ZF, SF, DF, OF = 1, 4, 0x10, 0x40, 0x80, 0x400, 0x800
ALL_FLAGS = CF | PF | AF | ZF | SF | OF
KEEP = (1 << 64) - 1
FLAGS_SLOT = 80


@dataclasses.dataclass(frozen=True)
class Case:
    """Some code, and the states that it runs on."""

    name: str
    code: list
    flags: int = ALL_FLAGS
    values: int = 7
    runs: int = 6
    fixes: tuple = ()


def fix(register, keep, set_=0):
    """Keeps some bits of a register and sets others."""
    return (register, keep, set_)


def constant(register, value):
    """Gives a register a value."""
    return (register, 0, value & KEEP)


def word(offset):
    """The slot of the word of memory at an offset from the operand."""
    return 48 + (OPERAND - MEMORY + offset) // 8


def test(mnemonic, operands, code, *, note="", fixes=(), **rest):
    """A case of one instruction: its operands are in its name, and what addresses need is set up."""
    wanted = [fix_ for operand in operands if isinstance(operand, Mem) for fix_ in operand.registers()]
    # A fix that a case asks for comes first: an address must hold whatever else is wanted.
    setup = tuple(fixes) + tuple(constant(register, value) for register, value in wanted)
    text = ",".join(str(operand) for operand in operands)
    name = " ".join(part for part in (mnemonic, text, f"[{code.text()}]", note) if part)
    return Case(name, [code], fixes=setup, **rest)


def sequence(name, *code, **rest):
    """A case of several instructions."""
    return Case(name, list(code), **rest)


def place(operand):
    """The slot and the bits of an operand that a fix can reach: the register, or the word of memory."""
    return operand.number if isinstance(operand, Reg) else word(0)


__all__ = ["Case", "Code", "constant", "fix", "place", "sequence", "test", "word"]
