"""Sorts Thumb instructions into seven classes by the names that a disassembler gives them.

Sections: Armv7-M Architecture Reference Manual (DDI 0403), chapter A4. What Armv8-M and Helium add is sorted
alike (Armv8-M Architecture Reference Manual, DDI 0553, C2.4).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType

CLASSES: Mapping[str, str] = MappingProxyType(
    {
        "multiply_accumulates": "products added up: MLA, SMLAxy, SMLAD, SMUAD, SMLAL, VFMA, VMLADAV",
        "multiplies": "products alone: MUL, SMULL, VMUL, VQRDMULH",
        "arithmetic": "all other data processing: adding, comparing, shifting, packing, moving, converting",
        "loads": "what reads memory: LDR, LDM, POP (of the program counter, too), VLDR, TBB",
        "stores": "what writes memory: STR, STM, PUSH, VSTR",
        "branches": "B, BL, BX, CBZ, and the ends of loops in hardware: DLS, WLS, LE",
        "other_instructions": "IT, VPST, hints, barriers, status, moves between core and float registers",
    }
)
"""What they hold, in words. What loads and branches is a load."""

_CONDITION = "(eq|ne|cs|hs|cc|lo|mi|pl|vs|vc|hi|ls|ge|lt|gt|le|al)"
_NAMES = {  # an instruction is of the first class whose pattern its name begins with
    "loads": r"ldr|ldm|lda|ldc|pop|tb[bh]|vldr|vldm|vpop|vld[24]\d",  # A4.6, A4.7, A4.11; tables: A4.3
    "stores": r"str|stm|stl|stc|push|vstr|vstm|vpush|vst[24]\d",
    "multiply_accumulates": r"ml[as]|sml[as]|smml[as]|smua|smus|umla|umaal|vn?ml[as]|vfn?m[as]"
    r"|vcmla|vrmlald|vrmlsld|vqr?dml[as]",  # A4.4.3, A4.13
    "multiplies": r"mul|smul|smmul|umul|vn?mul|vrmulh|vcmul|vqr?dmul",
    "branches": rf"(b|blx?|bx|blx?ns|bxns){_CONDITION}?\b|cbn?z|[wd]ls(tp)?\b|le(tp)?\b",  # A4.3; Armv8.1-M
    "other_instructions": r"i[te]{1,4}\b|vpst|nop|yield|wf[ei]|sevl?\b|csdb|dbg|dsb|dmb|isb|p?ssbb"  # A4.8
    r"|mrs|msr|cps|svc|bkpt|udf|pl[di]\b|clrex|clrm|sg\b|tta?t?\b"  # A4.5, A4.8, A4.9; Armv8-M
    rf"|mcrr?|mrrc|mrc|cdp|vmov\b|vmov{_CONDITION}\b(?!\.[su])|vmsr|vmrs|vdup|[vl]ctp|vpnot",  # A4.10, A4.12
}
_PATTERNS = {kind: re.compile(pattern) for kind, pattern in _NAMES.items()}


def class_of(name: str) -> str | None:
    """The key in ``CLASSES`` of an instruction named as in UAL, such as ``ldrb.w`` or ``vmladavat.s8``.

    None: it is no name of an instruction, such as a disassembler's ``.word`` and ``<UNDEFINED>``.
    """
    if not name[:1].isalpha():
        return None
    found = (kind for kind, pattern in _PATTERNS.items() if pattern.match(name))
    return next(found, "arithmetic")
