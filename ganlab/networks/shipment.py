"""The networks that a model ships, as one module that computes what the generator does."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from torch import Tensor, nn

from ganlab.interfaces import Model


class Shipment(nn.Module):
    """A generator and the networks that are shipped beside it: copied, moved and averaged together."""

    def __init__(self, networks: Mapping[str, nn.Module]) -> None:
        super().__init__()
        for name, network in networks.items():
            self.add_module(name, network)

    def forward(self, *inputs: Tensor) -> Tensor:
        """Return what the generator makes of its inputs."""
        images: Tensor = self._modules["generator"](*inputs)  # type: ignore[misc]  # there is one
        return images


def shipment(model: Model, networks: Mapping[str, nn.Module]) -> nn.Module:
    """Return those of a model's networks that it ships as one module: the generator itself where it is the only one."""
    if model.shipped == ("generator",):
        return networks["generator"]
    return Shipment({name: networks[name] for name in model.shipped})


def parts(module: nn.Module) -> dict[str, nn.Module]:
    """Return the networks of a shipment, the generator first; of another, that it is the generator."""
    if not isinstance(module, Shipment):
        return {"generator": module}
    networks = dict(module.named_children())
    return {"generator": networks.pop("generator"), **networks}


def named_state(module: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """Yield a module's state by its names in a file: the generator's own, others' behind their network's and a slash.

    Tensors that are tied come once a name.
    """
    for network, part in parts(module).items():
        for name, tensor in part.state_dict(keep_vars=True).items():
            yield prefixed(network, name), tensor


def named_parameters(module: nn.Module) -> Iterator[tuple[str, nn.Parameter]]:
    """Yield a module's parameters in the order of `parameters()`, each once, by their names in a file."""
    for name, parameter in module.named_parameters():
        yield (prefixed(*name.split(".", 1)) if isinstance(module, Shipment) else name), parameter


def prefixed(network: str, name: str) -> str:
    """Return what a network's tensor is called in a file."""
    return name if network == "generator" else f"{network}/{name}"


def by_network(tensors: Mapping[str, Tensor], networks: Iterable[str]) -> dict[str, dict[str, Tensor]]:
    """Return a file's tensors by network and by what they are called there; the generator is one of the networks."""
    found: dict[str, dict[str, Tensor]] = {network: {} for network in networks}
    for name, tensor in tensors.items():
        network, slash, own = name.partition("/")
        if slash and network in found:
            found[network][own] = tensor
        else:
            found["generator"][name] = tensor
    return found
