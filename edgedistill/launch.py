"""What a launcher (`accelerate launch`, `torchrun`) tells a process: its number, and how many there are."""

from __future__ import annotations

import os

from edgedistill.errors import InputError

_ACCELERATE = "ACCELERATE_MIXED_PRECISION"  # set by accelerate launch, whatever it starts


def rank() -> int:
    """This process's number, from 0; process 0 writes and speaks."""
    return int(os.environ.get("RANK", "0"))


def size() -> int:
    """How many processes were started together."""
    return int(os.environ.get("WORLD_SIZE", "1")) if "RANK" in os.environ else 1


def launched() -> bool:
    """Whether a launcher started this process: then a GPU is used, too.

    Raises:
        InputError: several processes were asked for, and accelerate started one.
    """
    if "RANK" in os.environ:
        return True
    if _ACCELERATE in os.environ and "MASTER_ADDR" in os.environ:
        raise InputError(
            "accelerate launch started one process where several were asked for",
            where="accelerate launch --num_processes",
            fix="add --multi_gpu, without which it starts one process on a machine with fewer than two GPUs; "
            "it is for CPUs, too: accelerate launch --multi_gpu --num_processes 2 -m edgedistill ...",
        )
    return _ACCELERATE in os.environ
