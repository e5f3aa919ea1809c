"""The processes that share a run: alone, each with all weights (DDP), or each with a part of them (FSDP2).

The loop is the same for one process and for many. Of each step's micro-batches every process takes its part, the
gradients are the mean over all, and whatever is decided (to stop, to save) is decided by the first process for all. So
all of them come to the same places in the same order, which is what collectives need: a method here that says "all
processes" has to be called by all of them, equally often.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, cast

import torch
import torch.distributed as dist
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule, fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor
from torch.nn.parallel import DistributedDataParallel

from app.training.recipe import Recipe


class Ranks:
    """One process, number `rank` of `of`. This class is the process that is alone: it has everything and asks nobody.

    `is_main` is true for the one that writes: events, checkpoints, pictures, the finished model.
    """

    def __init__(self, rank: int = 0, of: int = 1) -> None:
        self.rank, self.world_size, self.is_main = rank, of, rank == 0

    def turns(self, count: int) -> range:
        """Which of `count` pieces of work this process does; as many turns for each process.

        Where pieces run out the numbers go on: a turn at `count` or beyond has no piece of its own.
        """
        return range(self.rank, -(-count // self.world_size) * self.world_size, self.world_size)

    def same(self, number: int) -> int:
        """The first process's number, for all processes."""
        return number

    def totals(self, numbers: Sequence[float]) -> list[float]:
        """Each number summed over all processes, in float64."""
        return list(numbers)

    def mean(self, numbers: torch.Tensor) -> torch.Tensor:
        """The mean over all processes of numbers float32 [K], where they are; nobody waits for the device."""
        return numbers

    def wait(self) -> None:
        """Wait until all processes are here."""

    def split(self, model: torch.nn.Module, parameters: dict[str, torch.nn.Parameter]) -> dict[str, torch.nn.Parameter]:
        """Share a whole model's weights out between all processes; what became of its trained `parameters`."""
        return parameters

    def follow(self, parameters: Mapping[str, torch.nn.Parameter], recipe: Recipe) -> None:
        """From now on these weights' gradients become the mean over all processes."""

    def go_back(self, loss: torch.Tensor, is_last: bool) -> None:
        """Add the gradients of `loss` to the weights'; after a step's last one they are those of the whole step."""
        loss.backward()  # type: ignore[no-untyped-call]

    def whole(self, tensor: torch.Tensor) -> torch.Tensor:
        """All of a tensor of which this process may hold a part, on every process."""
        return tensor

    def collected(self, tensor: torch.Tensor) -> torch.Tensor:
        """All of a tensor on the first process, ready to be written; elsewhere it may be empty."""
        return tensor

    def part(self, tensor: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
        """What this process holds of a whole tensor, where it holds such a part of `like`; on `like`'s device."""
        return tensor.to(like.device)

    def as_loaded(self, model: torch.nn.Module) -> AbstractContextManager[None]:
        """Inside the block the first process has the model as it was before `split`, to be written and not to run."""
        return nullcontext()


ALONE = Ranks()


class Replicas(Ranks):
    """Every process has all weights; gradients are exchanged once in each step, while the last ones are computed."""

    def same(self, number: int) -> int:
        shared = torch.tensor([number])
        dist.broadcast(shared, src=0)
        return int(shared)

    def totals(self, numbers: Sequence[float]) -> list[float]:
        sums = torch.tensor(numbers, dtype=torch.float64)
        dist.all_reduce(sums)
        return cast(list[float], sums.tolist())

    def mean(self, numbers: torch.Tensor) -> torch.Tensor:
        summed = numbers.clone()
        dist.all_reduce(summed)
        return summed / self.world_size

    def wait(self) -> None:
        # By a number in main memory, not `barrier`: that one keeps a GPU busy for as long as it waits.
        self.totals([0.0])

    def follow(self, parameters: Mapping[str, torch.nn.Parameter], recipe: Recipe) -> None:
        # A teacher that is let go leaves weights without gradients, which the exchange has to look for.
        may_rest = bool(recipe.teacher) and recipe.teacher_until < 1.0
        self._exchange = DistributedDataParallel(_Loss(parameters), find_unused_parameters=may_rest)

    def go_back(self, loss: torch.Tensor, is_last: bool) -> None:
        self._exchange.require_backward_grad_sync = is_last
        super().go_back(self._exchange(loss), is_last)


class Shards(Ranks):
    """Every process holds a part of each weight, of its average and of the optimiser's memory.

    Gradients are exchanged after every micro-batch: who has no room for all weights has none for all gradients.
    """

    same, totals, mean, wait = Replicas.same, Replicas.totals, Replicas.mean, Replicas.wait

    def split(self, model: torch.nn.Module, parameters: dict[str, torch.nn.Parameter]) -> dict[str, torch.nn.Parameter]:
        device = next(model.parameters()).device
        mesh = init_device_mesh(device.type, (self.world_size,))
        # At rest everything is split, the outermost weights too: they are changed in place, and a whole copy that
        # outlived its pass would not notice.
        for blocks in (child for child in model.children() if isinstance(child, torch.nn.ModuleList)):
            for block in blocks:
                fully_shard(block, mesh=mesh, reshard_after_forward=True)
        fully_shard(model, mesh=mesh, reshard_after_forward=True)
        own = dict(model.named_parameters())
        return {name: own[name] for name in parameters}

    def whole(self, tensor: torch.Tensor) -> torch.Tensor:
        return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor

    def collected(self, tensor: torch.Tensor) -> torch.Tensor:
        full_tensor = self.whole(tensor)
        return full_tensor.to("cpu", copy=True) if self.is_main else full_tensor.new_empty(0)

    def part(self, tensor: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
        if not isinstance(like, DTensor):
            return super().part(tensor, like)
        return distribute_tensor(tensor.to(like.device), like.device_mesh, like.placements, src_data_rank=None)

    @contextmanager
    def as_loaded(self, model: torch.nn.Module) -> Iterator[None]:
        classes = [(module, type(module)) for module in model.modules() if isinstance(module, FSDPModule)]
        held = [
            (module, name, cast(torch.nn.Parameter, weight))
            for module in model.modules()
            for name, weight in module._parameters.items()
            if isinstance(weight, DTensor)
        ]
        try:
            for module, name, weight in held:
                module._parameters[name] = torch.nn.Parameter(self.collected(weight.data), requires_grad=False)
            for module, split_class in classes:
                # FSDP puts a class of its own over the model's, whose name would be written into its config.
                cast(Any, module).__class__ = split_class.__bases__[1]
            yield
        finally:
            for module, split_class in classes:
                cast(Any, module).__class__ = split_class
            for module, name, weight in held:
                module._parameters[name] = weight


class _Loss(torch.nn.Module):
    """What DDP is put around: it only has to know the weights and to see the loss before the backward pass begins.

    So it fits whatever the loss was computed with, be it an adapter or a second network.
    """

    def __init__(self, parameters: Mapping[str, torch.nn.Parameter]) -> None:
        super().__init__()
        self._weights = torch.nn.ParameterList(parameters.values())

    def forward(self, loss: torch.Tensor) -> torch.Tensor:
        """The loss as it is."""
        return loss
