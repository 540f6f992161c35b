"""What all tests share: the option that names real data, and skipping with a reason where it is missing."""

from pathlib import Path

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--real-data",
        metavar="DIR",
        default=None,
        help="folder of real data sets, one folder or file each; tests that need them are skipped without it",
    )

    parser.addoption(
        "--emulate-aarch64",
        action="store_true",
        help="gather an emulated 64-bit Arm Linux (apt, pip, 110 MB) if it is not cached, and boot it",
    )


@pytest.fixture(scope="session")
def emulated_arm(request: pytest.FixtureRequest) -> None:
    """QEMU's Linux on 64-bit Arm, whose files are cached or may be downloaded."""
    from edgedistill.runners import aarch64_system

    reason = aarch64_system.reason_not_runnable()
    if reason is not None:
        pytest.skip(reason)
    if aarch64_system.cached() is None:
        if not request.config.getoption("--emulate-aarch64"):
            pytest.skip("an emulated 64-bit Arm Linux is not cached here; gather it with --emulate-aarch64")
        aarch64_system.gather()


@pytest.fixture(scope="session")
def real_data(request: pytest.FixtureRequest) -> Path:
    """The folder of real data sets."""
    given = request.config.getoption("--real-data")
    if given is None:
        pytest.skip("needs real data sets; give their folder with --real-data DIR")
    folder = Path(given)
    if not folder.is_dir():
        pytest.fail(f"--real-data {given} is not a folder")
    return folder
