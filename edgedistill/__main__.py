"""Lets ``python -m edgedistill`` do what the command ``edgedistill`` does."""

from edgedistill.cli import main

if __name__ == "__main__":
    main()
