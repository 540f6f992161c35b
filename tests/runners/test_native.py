"""What native code writes to descriptor 2 is hidden during the block only."""

import os

import pytest

from edgedistill.runners.native import hidden_stderr


def test_hidden_during_the_block_and_restored_after_an_error(capfd: pytest.CaptureFixture[str]) -> None:
    os.write(2, b"before ")
    with pytest.raises(ValueError), hidden_stderr():
        os.write(2, b"hidden ")
        raise ValueError
    os.write(2, b"after")
    assert capfd.readouterr().err == "before after"
