"""Converts trained Keras recurrent models to safetensors bundles, without TensorFlow.

    import lstmconv

    lstmconv.export("model.keras", "model.safetensors")     # or a Keras model in memory

The bundle runs with `lstmconv_runtime`. Errors are in `lstmconv.errors`.
"""

from typing import TYPE_CHECKING, Any

from .version import __version__ as __version__

if TYPE_CHECKING:
    from .exporting import Conversion, export
    from .onnx.exporting import OnnxExport, export_onnx
    from .upgrading.file import Upgrade, upgrade

__all__ = ["Conversion", "OnnxExport", "Upgrade", "export", "export_onnx", "upgrade"]

_MODULES = {
    "Conversion": "exporting", "export": "exporting",
    "OnnxExport": "onnx.exporting", "export_onnx": "onnx.exporting",
    "Upgrade": "upgrading.file", "upgrade": "upgrading.file",
}  # fmt: skip


def __getattr__(name: str) -> Any:
    """Imports the converter when it is first used, so that `lstmconv --help` need not wait for it."""
    if name in _MODULES:
        from importlib import import_module

        return getattr(import_module(f".{_MODULES[name]}", __name__), name)
    raise AttributeError(f"module 'lstmconv' has no attribute {name!r}")
