"""The table's rows say what the functions are."""

import inspect

from edgedistill.distill.losses import LOSSES


def test_each_row_names_paper_equation_and_needs() -> None:
    for name, row in LOSSES.items():
        assert row.summary and row.equation and row.source and row.needs, name
        assert row.kind in row.function.__module__ or row.learned, name


def test_needs_and_options_are_the_functions_arguments() -> None:
    for name, row in LOSSES.items():
        parameters = inspect.signature(row.function).parameters
        tensors = [p for p in parameters.values() if p.default is inspect.Parameter.empty]
        if row.kind == "response":
            assert len(tensors) == 1 + len(row.needs), name
        elif not row.learned.endswith(("s", "bank")):
            assert len(tensors) == 2, name
        assert ("temperature" in parameters) == row.tempered, name
    assert LOSSES["dkd"].options == {"alpha": 1.0, "beta": 8.0} and LOSSES["dkd"].tempered
    assert LOSSES["crd"].options.keys() == {"dimension", "negatives", "tau", "momentum"}
