"""ganlab trains generative image models from a recipe and ships the generator."""

from __future__ import annotations

from importlib import import_module

TYPE_CHECKING = False  # as type checkers know it; typing's import would keep a signal waiting for its handler
if TYPE_CHECKING:
    from typing import Any

    from ganlab.data.film import save_film as save_film
    from ganlab.data.folders import is_listed as is_listed
    from ganlab.data.folders import walk_folder as walk_folder
    from ganlab.data.formats import file_kind as file_kind
    from ganlab.data.formats import open_picture as open_picture
    from ganlab.data.pictures import grid as grid
    from ganlab.data.pictures import save_png as save_png
    from ganlab.data.pictures import to_uint8 as to_uint8
    from ganlab.durable import append_text as append_text
    from ganlab.durable import replacing_file as replacing_file
    from ganlab.errors import ArtefactError as ArtefactError
    from ganlab.errors import DataError as DataError
    from ganlab.errors import GanlabError as GanlabError
    from ganlab.errors import Interrupted as Interrupted
    from ganlab.errors import PluginError as PluginError
    from ganlab.errors import RecipeError as RecipeError
    from ganlab.errors import RunError as RunError
    from ganlab.errors import printable as printable
    from ganlab.events import Advice as Advice
    from ganlab.events import Finding as Finding
    from ganlab.events import RunInfo as RunInfo
    from ganlab.events import Scores as Scores
    from ganlab.events import Snapshot as Snapshot
    from ganlab.events import Tick as Tick
    from ganlab.events import hookimpl as hookimpl
    from ganlab.generator.bundle import bundle_metadata as bundle_metadata
    from ganlab.generator.bundle import unpacked_bundle as unpacked_bundle
    from ganlab.generator.bundle import write_bundle as write_bundle
    from ganlab.generator.directions import Directions as Directions
    from ganlab.generator.directions import directions as directions
    from ganlab.generator.file import seal as seal
    from ganlab.generator.file import write_generator as write_generator
    from ganlab.generator.folding import fold_batchnorm as fold_batchnorm
    from ganlab.generator.generator import Generator as Generator
    from ganlab.generator.generator import run_file as run_file
    from ganlab.generator.metadata import Metadata as Metadata
    from ganlab.generator.onnx_graph import onnx_graph as onnx_graph
    from ganlab.generator.onnx_graph import quiet as quiet
    from ganlab.generator.onnx_graph import write_onnx as write_onnx
    from ganlab.interfaces import Augmentation as Augmentation
    from ganlab.interfaces import Batch as Batch
    from ganlab.interfaces import Categorical as Categorical
    from ganlab.interfaces import Comparison as Comparison
    from ganlab.interfaces import Dataset as Dataset
    from ganlab.interfaces import Exporter as Exporter
    from ganlab.interfaces import FeatureNetwork as FeatureNetwork
    from ganlab.interfaces import ImageSpec as ImageSpec
    from ganlab.interfaces import Input as Input
    from ganlab.interfaces import Iteration as Iteration
    from ganlab.interfaces import Labels as Labels
    from ganlab.interfaces import Loss as Loss
    from ganlab.interfaces import Metric as Metric
    from ganlab.interfaces import Model as Model
    from ganlab.interfaces import Moments as Moments
    from ganlab.interfaces import Normal as Normal
    from ganlab.interfaces import Observer as Observer
    from ganlab.interfaces import Optimizer as Optimizer
    from ganlab.interfaces import PublishedWeights as PublishedWeights
    from ganlab.interfaces import Schedule as Schedule
    from ganlab.interfaces import Scheduled as Scheduled
    from ganlab.interfaces import Source as Source
    from ganlab.interfaces import Uniform as Uniform
    from ganlab.interfaces import Update as Update
    from ganlab.judging.published import read_published as read_published
    from ganlab.networks.one_pass import apart as apart
    from ganlab.recipe.recipe import Recipe as Recipe
    from ganlab.run.generators import load_generator as load_generator
    from ganlab.run.generators import read_metadata as read_metadata
    from ganlab.run.report import write_report as write_report
    from ganlab.run.train import Run as Run
    from ganlab.run.train import train as train

# Resolved on first use: importing ganlab imports neither torch nor a plugin.
_HOMES = {
    "apart": "ganlab.networks.one_pass",
    **dict.fromkeys(
        ("ArtefactError", "DataError", "GanlabError", "Interrupted", "PluginError", "RecipeError", "RunError"),
        "ganlab.errors",
    ),
    **dict.fromkeys(("Advice", "Finding", "RunInfo", "Scores", "Snapshot", "Tick", "hookimpl"), "ganlab.events"),
    **dict.fromkeys(
        (
            "Augmentation",
            "Batch",
            "Categorical",
            "Comparison",
            "Dataset",
            "Exporter",
            "FeatureNetwork",
            "ImageSpec",
            "Input",
            "Iteration",
            "Labels",
            "Loss",
            "Metric",
            "Model",
            "Moments",
            "Normal",
            "Observer",
            "Optimizer",
            "PublishedWeights",
            "Schedule",
            "Scheduled",
            "Source",
            "Uniform",
            "Update",
        ),
        "ganlab.interfaces",
    ),
    **dict.fromkeys(("Directions", "directions"), "ganlab.generator.directions"),
    **dict.fromkeys(("seal", "write_generator"), "ganlab.generator.file"),
    **dict.fromkeys(("bundle_metadata", "unpacked_bundle", "write_bundle"), "ganlab.generator.bundle"),
    "printable": "ganlab.errors",
    "fold_batchnorm": "ganlab.generator.folding",
    **dict.fromkeys(("Generator", "run_file"), "ganlab.generator.generator"),
    "Metadata": "ganlab.generator.metadata",
    "save_film": "ganlab.data.film",
    **dict.fromkeys(("onnx_graph", "quiet", "write_onnx"), "ganlab.generator.onnx_graph"),
    **dict.fromkeys(("is_listed", "walk_folder"), "ganlab.data.folders"),
    **dict.fromkeys(("file_kind", "open_picture"), "ganlab.data.formats"),
    **dict.fromkeys(("grid", "save_png", "to_uint8"), "ganlab.data.pictures"),
    **dict.fromkeys(("append_text", "replacing_file"), "ganlab.durable"),
    "read_published": "ganlab.judging.published",
    "Recipe": "ganlab.recipe.recipe",
    **dict.fromkeys(("load_generator", "read_metadata"), "ganlab.run.generators"),
    "write_report": "ganlab.run.report",
    **dict.fromkeys(("Run", "train"), "ganlab.run.train"),
}
__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'ganlab' has no attribute {name!r}")
    return import_module(_HOMES[name]).__dict__[name]


def __dir__() -> list[str]:
    return list(__all__)
