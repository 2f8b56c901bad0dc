"""The networks that metrics bring along: opened before anything is computed, and once for all that share one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ganlab.errors import GanlabError, PluginError
from ganlab.interfaces import FeatureNetwork, Metric
from ganlab.judging.features import Array, Network
from ganlab.messages import shown
from ganlab.registry.loading import blaming
from ganlab.registry.lookup import registry

if TYPE_CHECKING:
    from ganlab.judging.choice import Chosen
    from ganlab.registry.entry_points import Provider


class OwnNetwork(NamedTuple):
    """The network of a metric that brings one."""

    network: Network
    columns: slice
    """Which of its features are the metric's."""


def open_own_networks(chosen: Chosen, device: str) -> dict[str, OwnNetwork]:
    """Return the networks of the metrics that bring one, by the metrics' names.

    A metric whose network cannot be had is left out of `chosen`; where the user has named it, `GanlabError` is raised.
    """
    opened: dict[tuple[str, str], Network] = {}
    found: dict[str, OwnNetwork] = {}
    for name, metric in list(chosen.metrics.items()):
        if not metric.brings_network:
            continue
        try:
            brought = _brought(metric, name, device)
        except GanlabError as error:
            if chosen.asked:
                raise
            del chosen.metrics[name]
            chosen.left_out[name] = str(error)
            continue
        network = opened.setdefault((brought.name, brought.digest), _checked(brought, name))
        found[name] = OwnNetwork(network, brought.columns)
    return found


def described(own: Mapping[str, OwnNetwork], height: int, width: int) -> dict[str, dict[str, str]]:
    """Return what the protocol says of the networks that metrics bring along."""
    return {
        name: {
            "network": one.network.name,
            "network_digest": one.network.digest,
            "resizer": one.network.resizer(height, width),
        }
        for name, one in own.items()
    }


def _brought(metric: Metric, name: str, device: str) -> FeatureNetwork:
    from ganlab.hardware.device import choose_device, usual_modes

    provider = registry.provider("metric", name)
    place = str(choose_device(device, "device"))
    with usual_modes(), blaming(provider, "cannot open its network"):
        brought: object = metric.network(place)
    if not isinstance(brought, FeatureNetwork):
        raise PluginError(f"{provider.title} brings {shown(brought)}: network() must return a FeatureNetwork")
    return brought


def _checked(brought: FeatureNetwork, name: str) -> Network:
    """Return a network whose faults are its metric's, and which computes alike whatever modes are set."""
    provider = registry.provider("metric", name)
    return Network(brought.name, brought.digest, None, _guarded(provider, brought.compute), brought.resizer)


def _guarded(
    provider: Provider, compute: Callable[[np.ndarray[Any, np.dtype[np.uint8]]], Array]
) -> Callable[[np.ndarray[Any, Any]], Array]:
    def guarded(pixels: np.ndarray[Any, Any]) -> Array:
        from ganlab.hardware.device import tf32, usual_modes

        # Without TF32 the features are the same on every device, and published scores were computed in full float32.
        with usual_modes(), tf32(allowed=False), blaming(provider, "cannot make features"):
            made: object = compute(pixels)
        if not isinstance(made, np.ndarray) or made.dtype != np.float32:
            raise PluginError(f"{provider.title} makes {shown(made)}: features are float32 (N, D)")
        return made

    return guarded
