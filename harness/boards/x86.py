"""gem5's X86Board: at most 3 GiB of memory, an IDE disk, a serial port."""

from gem5.components.boards.x86_board import X86Board as Board
from gem5.isas import ISA as Isas

ISA = Isas.X86

__all__ = ["ISA", "Board"]
