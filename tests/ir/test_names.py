"""Short names stay apart from one another, and say where they come from."""

from hypothesis import given
from hypothesis import strategies as st

from edgedistill.ir.names import LONGEST, short


def test_the_first_of_fused_names_stands_for_all() -> None:
    fused = "net/relu/Relu;net/conv/BiasAdd;net/conv/Conv2D"
    assert short(["x", fused, f"{fused}1"]) == {
        "x": "x",
        fused: "net/relu/Relu;…#1",
        f"{fused}1": "net/relu/Relu;…#2",
    }
    long = "a/" * 40 + "Conv2D"
    assert short([long])[long].endswith("a/Conv2D") and len(short([long])[long]) == LONGEST


@given(st.lists(st.text("ab;/", min_size=1, max_size=60), unique=True))
def test_every_name_has_its_own(names: list[str]) -> None:
    found = short(names)
    assert list(found) == names and len(set(found.values())) == len(names)
    assert all(shown == name for name, shown in found.items() if ";" not in name and len(name) <= LONGEST)
