"""Instructions by class: names, what the plugin wrote, why it cannot run; in QEMU, to the instruction."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from edgedistill import target
from edgedistill.errors import GateError
from edgedistill.export import c
from edgedistill.export.metadata import Metadata
from edgedistill.runners import c_here, cortex_m, programs
from edgedistill.runners.cortex_m import disassembly, mix, plugin
from edgedistill.runners.cortex_m.classes import CLASSES, class_of
from edgedistill.runners.cortex_m.disassembly import Instruction
from tests.graphs import random_input, small_integer_graph

M4 = target.load("cortex-m4")
SAMPLE = """\

firmware.elf:     file format elf32-littlearm

Disassembly of section .text:

00000040 <edge_dot>:
      40:\tpush\t{r4, lr}
      42:\tldrb.w\tr3, [r0], #1
      46:\tbx\tlr
      48:\t.word\t0x40028000
      4c:\t<UNDEFINED> instruction: 0xffffffff

00000050 <edge_plane.constprop.0.isra.0>:
      50:\tnop
\t...
"""


@pytest.mark.parametrize(
    ("kind", "names"),
    [
        ("multiply_accumulates", "mla mls smlad smlabb smlald smuad umlal vmla.f32 vfma.f32 vfnms.f32"),
        ("multiply_accumulates", "vmladavat.s8 vmlava.s8 vmlaldav.s16 vrmlaldavha.s32 vqdmlash.s8 vmlas.u8"),
        (
            "multiplies",
            "mul muls smull umull smulbb smmulr vmul.f32 vnmul.f32 vmulh.u8 vqrdmulh.s32 vmull.p8",
        ),
        (
            "arithmetic",
            "adds cmp.w movt bic.w bics bfi bfc tst teq sel ssat sxtab16 pkhbt usad8 udiv lsrs lsll",
        ),
        (
            "arithmetic",
            "vadd.i32 vcvt.s32.f32 vmovlt.s8 vmovnb.i16 vshl.s32 vpt.s8 vcmp.f32 vpsel vmaxv.s8 csel",
        ),
        (
            "loads",
            "ldr ldrsb.w ldmia.w ldrd ldrne pop popne tbb tbh vldr vldmia vpop vldrbt.s32 vld40.8 vld21.16",
        ),
        ("stores", "str strb.w stmdb strd push vstr vstrw.32 vpush vst40.8 stl"),
        ("branches", "b.n b.w bl blx bx bxeq bne.n bls.n blt.w ble.n bleq cbz cbnz dls wls dlstp.8 le letp"),
        ("other_instructions", "it ite itttt vpst vpste nop.w vmov vmov.f32 vmovlt.f32 vmoveq vdup.32 vmrs"),
        ("other_instructions", "vmsr mrs msr dsb isb bkpt vctp.8 svc"),
    ],
)
def test_the_class_of_an_instruction(kind: str, names: str) -> None:
    assert {name: class_of(name) for name in names.split()} == dict.fromkeys(names.split(), kind)


def test_what_is_no_instruction() -> None:
    assert [class_of(name) for name in (".word", ".short", "<UNDEFINED>", "")] == [None] * 4


def test_a_disassembly() -> None:
    found = disassembly.parse(SAMPLE)
    assert found[0x42] == Instruction("edge_dot", "ldrb.w")
    assert found[0x50] == Instruction("edge_plane", "nop")
    assert [class_of(found[at].name) for at in (0x48, 0x4C)] == [None, None]


def test_what_the_plugin_wrote(tmp_path: Path) -> None:
    file = tmp_path / "counts.txt"
    file.write_text("region 0\nregion 1\n66 3 7 0\n64 1 0 8\n")
    assert mix.read(file) == [{}, {66: (3, 7, 0), 64: (1, 0, 8)}]
    wrong = (
        "region 1\n",
        "64 1 0 8\n",
        "region 0\n64 1 0\n",
        "region 0\nx 1 0 8\n",
        "region 0\n64 1 0 8 9\n",
    )
    for text in wrong:
        file.write_text(text)
        with pytest.raises(GateError, match="a file that cannot be read"):
            mix.read(file)
    file.unlink()
    with pytest.raises(GateError, match="a file that cannot be read"):
        mix.read(file)


def test_counts_by_function_and_class() -> None:
    names = disassembly.parse(SAMPLE)
    found = mix.sort({0x40: (2, 0, 16), 0x42: (7, 7, 0), 0x46: (2, 0, 0), 0x50: (20, 0, 0)}, names)
    assert [(f.name, f.instructions) for f in found.functions] == [("edge_plane", 20), ("edge_dot", 11)]
    row = found.functions[1].as_dict()
    assert {name: n for name, n in row.items() if n} == {
        "function": "edge_dot",
        "instructions": 11,
        "loads": 7,
        "stores": 2,
        "branches": 2,
        "loaded_bytes": 7,
        "stored_bytes": 16,
    }
    assert found.whole.instructions == 31 and found.whole.executed["other_instructions"] == 20
    assert list(found.whole.executed) == list(CLASSES)
    for address, words in {
        0x48: "'.word', which is no known",
        0x99: "'something', which is no known",
    }.items():
        with pytest.raises(GateError, match=words):
            mix.sort({address: (1, 0, 0)}, names)


@pytest.mark.parametrize(
    ("qemu", "version"), [("qemu 7.2.17", 1), ("qemu 8.2.0", 1), ("qemu 9.0.0", 2), ("qemu 10.0", 2)]
)
def test_the_interfaces_version(qemu: str, version: int) -> None:
    assert plugin.api(qemu) == version


def test_why_nothing_can_be_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    said = {"-print-prog-name=objdump": "objdump", "-help": "-plugins-of-another-kind\n"}  # a stand-in

    def run(arguments: list[str], **_: object) -> programs.Ended:
        return programs.Ended(0, said[str(arguments[-1])], "")

    monkeypatch.setattr(shutil, "which", lambda name: name)
    monkeypatch.setattr(programs, "run", run)
    assert "my-gcc has no objdump" in (mix.missing("my-gcc") or "")
    said["-print-prog-name=objdump"] = "/opt/arm/objdump\n"
    assert mix.missing("my-gcc") == "this qemu-system-arm was built without plugins"
    said["-help"] = "-plugin [file=]<file>[,<argname>=<argvalue>]\n"
    assert mix.missing("my-gcc") is None
    monkeypatch.setattr(c_here, "compiler", lambda: None)
    assert "no C compiler here" in (mix.missing("my-gcc") or "")


REASON = cortex_m.reason_not_runnable(M4) or mix.missing(cortex_m.CC)


@pytest.mark.skipif(REASON is not None, reason=REASON or "")
class TestInQemu:
    """On the emulator itself, with a plugin compiled here."""

    @pytest.mark.parametrize("core", ["cortex-m0plus", "cortex-m4", "cortex-m55"])
    def test_a_network(self, core: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """QEMU says of the classes' loads alone that they read, and of the stores alone that they write."""
        graph = small_integer_graph(5)
        c.write(graph, Metadata("student", "", graph.labels, 1 / 64, 0, "0"), tmp_path / "c")
        seen: dict[int, tuple[str | None, int, int]] = {}
        sort = mix.sort

        def sorted_and_seen(sites: mix.Sites, names: Mapping[int, Instruction]) -> mix.Mix:
            seen.update({at: (class_of(names[at].name), *sites[at][1:]) for at in sites})
            return sort(sites, names)

        monkeypatch.setattr(mix, "sort", sorted_and_seen)
        x = random_input(graph, 1)
        found = mix.count(tmp_path / "c", target.load(core), x)
        assert found.whole.loaded_bytes > x.nbytes and found.whole.stored_bytes > 0
        assert {kind for kind, read, _ in seen.values() if read} == {"loads"}
        assert {kind for kind, _, written in seen.values() if written} == {"stores"}

    def test_known_instructions(self, tmp_path: Path) -> None:
        """Skipped ones count and read nothing; a pair of registers is one load of eight bytes."""
        loop = "movs r3, #9\\n1: ldrb r2, [%0]\\nsmlad r2, r2, r2, r2\\nsubs r3, #1\\nbne 1b\\n"
        skipped = "cmp r3, r3\\nit ne\\nldrne r2, [%0]\\n"
        pair = "sub sp, #8\\nstrd r2, r3, [sp]\\nldrd r2, r3, [sp]\\nadd sp, #8\\nmul r2, r2, r2"
        found = self.known(tmp_path, "cortex-m4", loop + skipped + pair)
        assert dict(found.executed) == {
            "multiply_accumulates": 9,
            "multiplies": 1,
            "arithmetic": 1 + 9 + 1 + 2,
            "loads": 9 + 1 + 1,
            "stores": 1,
            "branches": 9 + 1,
            "other_instructions": 1,
        }
        assert (found.loaded_bytes, found.stored_bytes) == (9 + 8, 8)

    def test_known_vectors(self, tmp_path: Path) -> None:
        """A predicate that leaves five lanes of sixteen reads five bytes."""
        text = "movs r3, #4\\ndls lr, r3\\n1: vldrb.u8 q0, [%0]\\nvmladava.s8 r2, q0, q0\\nle lr, 1b\\n"
        five = "movs r3, #5\\nvctp.8 r3\\nvpst\\nvldrbt.u8 q1, [%0]\\nvmul.i8 q1, q1, q1"
        found = self.known(tmp_path, "cortex-m55", text + five, "mov r4, lr\\n", "\\nmov lr, r4")
        assert found.loaded_bytes == 4 * 16 + 5 and found.stored_bytes == 0
        assert dict(found.executed) == {
            "multiply_accumulates": 4,
            "multiplies": 1,
            "arithmetic": 2 + 2,
            "loads": 4 + 1,
            "stores": 0,
            "branches": 1 + 4 + 1,
            "other_instructions": 2,
        }

    def known(self, folder: Path, core: str, text: str, before: str = "", after: str = "") -> mix.Function:
        """What a function of these instructions and its return did, in a model that only calls it."""
        sizes = ("INPUT", "OUTPUT", "ARENA")
        macros = "".join(f"#define EDGEDISTILL_KNOWN_{size}_BYTES 64\n" for size in sizes)
        prototype = "int edgedistill_known_invoke(const signed char *x, signed char *y, void *arena)"
        (folder / "edgedistill_known.h").write_text(f"#include <stdint.h>\n{macros}{prototype};\n")
        (folder / "edgedistill_known.c").write_text(
            '#include "edgedistill_known.h"\n'
            "__attribute__((naked, noinline)) static void known(const signed char *x)\n"
            f'{{\n    __asm__ volatile("{(before + text + after).replace("%0", "r0")}\\nbx lr");\n}}\n'
            f"{prototype}\n{{\n    (void)arena;\n    known(x);\n    y[0] = 1;\n    return 0;\n}}\n"
        )
        x = np.ones((1, 64), np.int8)
        found = mix.count(folder, target.load(core), x)
        alone = cortex_m.run(folder, target.load(core), x)  # without a plugin
        assert (found.whole.instructions,) == alone.instructions
        return next(f for f in found.functions if f.name == "known")

    def test_a_plugin_that_counts_something_else(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        graph = small_integer_graph(5)
        c.write(graph, Metadata("student", "", graph.labels, 1 / 64, 0, "0"), tmp_path / "c")
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "with, a comma"))  # QEMU takes it, too
        read = mix.read
        monkeypatch.setattr(mix, "read", lambda path: [{}, *read(path)])  # one region late: the loop
        with pytest.raises(GateError, match=r"counted 200,00\d instructions, the counter"):
            mix.count(tmp_path / "c", M4, random_input(graph, 1))

    def test_the_plugin_is_made_once(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "a, b"))
        made = plugin.get()
        before = made.stat().st_mtime_ns
        assert plugin.get() == made and made.stat().st_mtime_ns == before
        assert [p.name for p in made.parent.iterdir()] == [made.name]
        monkeypatch.setattr(plugin, "resource", lambda name: "#error no\n")
        assert "could not be compiled" in (mix.reason_not_countable(cortex_m.CC) or "")
        (tmp_path / "file").write_text("")
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
        assert "cannot be kept" in (mix.reason_not_countable(cortex_m.CC) or "")
