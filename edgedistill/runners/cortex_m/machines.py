"""The QEMU machines that stand in for boards: where their memories lie, and the counter of instructions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from edgedistill.target import Emulator

ICOUNT_SHIFT = 7
"""2**7 ns of virtual time per instruction: a tick of either counter is then less than half an instruction."""

COUNTER_BITS = 32


@dataclass(frozen=True)
class Region:
    """Bytes of memory from an address on."""

    origin: int
    length: int


@dataclass(frozen=True)
class Machine:
    """One machine. ``inputs``: memory that no board has, for the inputs of a test.

    ``fpgaio`` is the address of Arm's FPGA system registers, whose counter runs at ``counter_hz``;
    ``uart`` that of the first CMSDK UART, which runs at the same.
    """

    flash: Region
    ram: Region
    inputs: Region
    fpgaio: int
    counter_hz: int
    uart: int

    def instructions(self, ticks: int) -> int:
        """Of a difference of two counter values."""
        return round(ticks * 1e9 / (self.counter_hz << ICOUNT_SHIFT))

    @property
    def most_instructions(self) -> int:
        """Past this the counter begins again."""
        return self.instructions(2**COUNTER_BITS - 1)


_MIB = 2**20
_MPS2 = Machine(
    flash=Region(0x0000_0000, 4 * _MIB),
    ram=Region(0x2000_0000, 2 * _MIB),
    inputs=Region(0x2020_0000, 2 * _MIB),
    fpgaio=0x4002_8000,
    counter_hz=25_000_000,
    uart=0x4000_4000,
)

MACHINES: Mapping[Emulator, Machine] = MappingProxyType(
    {  # addresses: QEMU's hw/arm/mps2.c and mps2-tz.c, and Arm's application notes of the same numbers
        "mps2-an385": _MPS2,
        "mps2-an386": _MPS2,
        "mps2-an500": _MPS2,
        "mps2-an505": Machine(  # the secure aliases: the core starts in secure state
            flash=Region(0x1000_0000, 4 * _MIB),
            ram=Region(0x3800_0000, 2 * _MIB),
            inputs=Region(0x3820_0000, 2 * _MIB),
            fpgaio=0x5030_2000,
            counter_hz=20_000_000,
            uart=0x5020_0000,
        ),
        "mps3-an547": Machine(
            flash=Region(0x0000_0000, _MIB // 2),
            ram=Region(0x2000_0000, _MIB // 2),
            inputs=Region(0x2100_0000, 2 * _MIB),
            fpgaio=0x4930_2000,
            counter_hz=20_000_000,
            uart=0x4930_3000,
        ),
    }
)
