"""Lets several processes train one network with the result that one process gives at the same whole batch.

Every process takes its part of each batch through the network; BatchNorm sees the statistics of the
whole batch; answers are gathered, so that each process computes the same losses on the whole batch,
relations between examples included; gradients are summed. The first process alone writes and speaks.
Alone (no launcher) nothing here changes a bit.

Launched by `accelerate launch` or `torchrun`: gloo between CPUs, NCCL between GPUs.
"""

from __future__ import annotations

import contextlib
import datetime
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, ParamSpec, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn

from edgedistill import launch
from edgedistill.distill.shared_norm import SharedStatistics
from edgedistill.errors import EdgeDistillError, InputError, WorkerError
from edgedistill.reporter import QuietReporter, Reporter

P = ParamSpec("P")
T = TypeVar("T")

_PATIENCE = datetime.timedelta(days=1)  # with process 0's own stages; a process that ends is seen at once
_ROLL_CALL_S = 3.0  # in which the others say that they are still there, once one is missed
_CALL = "edgedistill/call"


class _Broken(Exception):
    """A process that this one was talking to is gone."""


class _Stopped(Exception):
    """SIGTERM: a launcher sends it to all when one process has ended."""


@dataclass(eq=False)
class Team:
    """The processes that train together, as one of them sees it."""

    rank: int = 0
    size: int = 1
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    store: Any = None  # of torch.distributed: small notes that all can read
    place: str | None = None  # where the training is, and what of it is kept: told when a process is lost

    @property
    def leads(self) -> bool:
        """Whether this process writes and speaks."""
        return self.rank == 0

    def once(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """What ``work`` gives, done by process 0 while the others wait for its result."""
        if self.size == 1:
            return work(*args, **kwargs)
        answer = [work(*args, **kwargs) if self.leads else None]
        with _talking():
            dist.broadcast_object_list(answer, src=0, device=torch.device("cpu"))
        return answer[0]  # type: ignore[return-value]

    def check_batch(self, batch: int, where: str) -> None:
        """Every process needs an example of each batch.

        Raises:
            InputError: there are more processes than examples.
        """
        if batch < self.size:
            raise InputError(
                f"a batch of {batch} examples cannot be divided among {self.size} processes",
                where=where,
                fix="a larger batch, or fewer processes",
            )

    def part(self, count: int, rank: int | None = None) -> slice:
        """This process's examples of a batch; parts differ by one where the batch cannot be divided."""
        rank = self.rank if rank is None else rank
        return slice(count * rank // self.size, count * (rank + 1) // self.size)

    def whole(self, own: Tensor, count: int) -> Tensor:
        """The batch [count, ...] of which every process has its part; differentiable.

        Each process computes the same loss on it, so the gradient of a part is found without talking.
        """
        own = own.to(self.device)
        return own if self.size == 1 else _Whole.apply(own, self, count)  # type: ignore[no-untyped-call]

    @contextlib.contextmanager
    def forward(self, step: int) -> Iterator[None]:
        """A forward pass of this process's part: BatchNorm sees the whole batch.

        Random layers draw otherwise in each process, and leave torch's generator as it is.
        """
        if self.size == 1:
            yield
            return
        devices = [] if self.device.type == "cpu" else [self.device]
        with torch.random.fork_rng(devices=devices), SharedStatistics(_Sum.apply):
            torch.manual_seed((torch.initial_seed() + step * self.size + self.rank + 1) % 2**63)
            yield

    def share(self, module: nn.Module) -> None:
        """Gives all processes the values that the first one has."""
        if self.size == 1:
            return
        with _talking(), torch.no_grad():
            for value in module.state_dict().values():
                common = value.contiguous()
                dist.broadcast(common, src=0)
                value.copy_(common)

    def sum_gradients(self, net: nn.Module, losses: nn.Module) -> None:
        """After a backward pass: the whole batch's gradients.

        ``net`` saw this process's part, ``losses`` and what they learn the whole batch.
        """
        if self.size == 1:
            return
        parts = [p.grad for p in net.parameters() if p.grad is not None]
        wholes = [p.grad for p in losses.parameters() if p.grad is not None]
        flat = torch.cat([*(g.flatten() for g in parts), *(g.flatten() / self.size for g in wholes)])
        _sum(flat)
        grads = parts + wholes
        for grad, value in zip(grads, torch.split(flat, [g.numel() for g in grads]), strict=True):
            grad.copy_(value.view(grad.shape))


_team = Team()


def team() -> Team:
    """The processes that train with this one; alone where no launcher was used."""
    return _team


def once(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """What ``work`` gives, done by process 0 while the others wait for its result."""
    return _team.once(work, *args, **kwargs)


def voice(reporter: Reporter | None) -> Reporter:
    """The first process speaks."""
    return reporter if reporter is not None and _team.leads else QuietReporter()


def led(block: contextlib.AbstractContextManager[T]) -> contextlib.AbstractContextManager[T | None]:
    """``block``, entered by the first process alone."""
    return block if _team.leads else contextlib.nullcontext()


@contextlib.contextmanager
def alone() -> Iterator[None]:
    """This process computes the block, or the decorated function, by itself; the others wait in ``once``."""
    global _team
    before, _team = _team, Team(device=_team.device)
    try:
        yield
    finally:
        _team = before


@contextlib.contextmanager
def leader_first() -> Iterator[None]:
    """Process 0 runs the block (or the decorated function), then the others find what it has kept.

    The processes may not talk to one another inside.
    """
    if not _team.leads:
        _team.once(_nothing)
    yield
    if _team.leads:
        _team.once(_nothing)


def _nothing() -> None: ...


@contextlib.contextmanager
def joined() -> Iterator[None]:
    """Within the block, or the decorated function, the processes of one launch work together.

    Raises:
        WorkerError: one of them was lost. All others end with it, and one of them tells.
        InputError: accelerate is not installed.
    """
    if not launch.launched():
        yield
        return
    me = _join()
    if me.store is None:  # accelerate started this process alone: nobody else waits for it
        yield
        return
    try:
        with _stoppable():
            yield
            if me.size > 1:  # nobody goes while another still reads what it sent
                _sum(torch.zeros(1))
    except (_Broken, _Stopped) as cause:
        raise _loss(me) from cause
    except BaseException as error:
        _leave(me, error.what if isinstance(error, EdgeDistillError) else f"{type(error).__name__}: {error}")
        raise


def _join() -> Team:
    """Meets the other processes; a second call finds them met."""
    global _team
    if dist.is_initialized():
        return _team
    try:
        from accelerate import PartialState
    except ImportError:
        raise InputError(
            "a launcher started this, and accelerate is not installed", fix="pip install 'edgedistill[scale]'"
        ) from None
    from torch.distributed.rendezvous import rendezvous

    on_cpu = os.environ.get("ACCELERATE_USE_CPU", "").lower() == "true" or not torch.cuda.is_available()
    if "RANK" not in os.environ:
        _team = Team() if on_cpu else Team(device=PartialState().device)
        return _team
    store, rank, size = next(rendezvous("env://"))
    backend = {} if on_cpu else {"backend": "cpu:gloo,cuda:nccl"}
    state = PartialState(cpu=on_cpu, store=store, rank=rank, world_size=size, timeout=_PATIENCE, **backend)
    torch.backends.cudnn.allow_tf32 = False  # int8 training counts on float32 sums that are exact
    device = torch.device("cpu") if on_cpu else state.device  # accelerate's cpu:0 is no place to load to
    _team = Team(rank, size, device, store)
    threading.Thread(target=_answer, args=(_team,), daemon=True).start()
    return _team


class _Whole(torch.autograd.Function):
    """All processes' parts one after the other; of the gradient, each takes its part."""

    @staticmethod
    def forward(ctx: Any, own: Tensor, team: Team, count: int) -> Tensor:
        parts = [team.part(count, rank) for rank in range(team.size)]
        sizes = [part.stop - part.start for part in parts]
        assert len(own) == sizes[team.rank], (own.shape, sizes)
        ctx.part = parts[team.rank]
        padded = own.new_zeros((max(sizes), *own.shape[1:]))  # gloo gathers equal shapes
        padded[: len(own)] = own
        gathered = [torch.empty_like(padded) for _ in sizes]
        with _talking():
            dist.all_gather(gathered, padded)
        return torch.cat([whole[:size] for whole, size in zip(gathered, sizes, strict=True)])

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        return grads[0][ctx.part], None, None


class _Sum(torch.autograd.Function):
    """The sum over all processes; so is the gradient, as each one's loss reaches it by its own part."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return _sum(x.clone())

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        return _sum(grads[0].clone())


def _sum(x: Tensor) -> Tensor:
    """In place."""
    with _talking():
        dist.all_reduce(x)
    return x


@contextlib.contextmanager
def _talking() -> Iterator[None]:
    """Around what needs the others: torch tells their loss as RuntimeError, with the words of a transport."""
    try:
        yield
    except RuntimeError as cause:
        raise _Broken(str(cause)) from cause


@contextlib.contextmanager
def _stoppable() -> Iterator[None]:
    """SIGTERM becomes an exception, once: what follows is not disturbed by a second one."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(number: int, frame: object) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        raise _Stopped

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    except BaseException:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # the launcher's is on its way, the end is, too
        raise
    signal.signal(signal.SIGTERM, before)


def _leave(me: Team, reason: str) -> None:
    """Says why this process goes (empty: another one did) and hangs up, so that nobody waits for it."""
    with contextlib.suppress(RuntimeError):
        me.store.set(_note(me.rank), reason)
    with contextlib.suppress(RuntimeError, AssertionError):
        dist.destroy_process_group()


def _answer(me: Team) -> None:
    """Answers a roll call while this process waits for one that is gone."""
    with contextlib.suppress(RuntimeError):
        while not me.store.check([_CALL]):
            time.sleep(_ROLL_CALL_S / 10)
        if not me.store.check([_note(me.rank)]):
            me.store.set(_note(me.rank), "")


def _note(rank: int) -> str:
    return f"edgedistill/ended/{rank}"


def _loss(me: Team) -> WorkerError:
    """Finds out who is missing."""
    there: dict[int, str] = {}
    first = True
    deadline = time.monotonic() + _ROLL_CALL_S
    try:
        first = me.store.add(_CALL, 1) == 1
        while len(there) < me.size and time.monotonic() < deadline:
            for rank in set(range(me.size)) - there.keys():
                if me.store.check([_note(rank)]):
                    there[rank] = me.store.get(_note(rank)).decode()
            time.sleep(0.02)
    except RuntimeError:  # process 0 keeps the notes where the launcher doesn't
        there.pop(0, None)
        there[me.rank] = ""
    _leave(me, "")
    lost = [rank for rank in range(me.size) if rank not in there]
    ended = [f"process {rank} ended: {reason}" for rank, reason in there.items() if reason]
    if ended:
        what = "; ".join(ended)
    elif lost:
        names = ", ".join(map(str, lost))
        what = (
            f"process {names} of {me.size} was lost"
            if len(lost) == 1
            else f"processes {names} of {me.size} were lost"
        ) + " (killed, out of memory, or its machine went away)"
    else:
        what = "the run was stopped (SIGTERM)"
    return WorkerError(
        what,
        where=me.place,
        fix="run the same command again: it goes on from what is kept, with any number of processes",
        speaks=first and not there.get(0),
    )
