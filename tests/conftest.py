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
