"""The dtype that a layer computes in, from the dtype policy in its config."""

from __future__ import annotations

from typing import Any

from lstmconv_runtime.format.graph import FLOATS

from ..errors import UnsupportedError, printable
from .layer_config import Config


def compute_dtype(config: Config, int8: bool = False) -> str:
    """The dtype a layer computes in, from its dtype policy.

    Args:
        int8: the layer may be quantised to int8; then the dtype is that of its inputs and outputs.

    Raises:
        UnsupportedError: quantised, or not floating point.
    """
    policy = config.raw("dtype", "float32")
    if type(policy) is dict and int8:
        policy = _int8_source(policy)
    if type(policy) is dict:
        inner = policy.get("config")
        if policy.get("class_name") not in ("DTypePolicy", "Policy") or type(inner) is not dict:
            raise UnsupportedError(
                f"{config.where}: dtype policy '{printable(policy.get('class_name'))}' is not supported",
                "E_UNSUPPORTED_DTYPE",
            )
        policy = inner.get("name")
    if type(policy) is str and policy.startswith("mixed_"):
        policy = policy[len("mixed_") :]
    if policy is None:
        policy = "float32"
    if policy not in FLOATS:
        raise UnsupportedError(f"{config.where}: dtype '{printable(policy)}' is not supported", "E_UNSUPPORTED_DTYPE")
    return str(policy)


def _int8_source(policy: dict[str, Any]) -> Any:
    """The policy that a QuantizedDTypePolicy of int8 was made from; others as they are."""
    inner = policy.get("config")
    if policy.get("class_name") != "QuantizedDTypePolicy" or type(inner) is not dict:
        return policy
    mode, source = inner.get("mode"), inner.get("source_name")
    if "name" in inner:  # as Keras before 3.4 wrote it: int8_from_float32
        mode, _, source = str(inner["name"]).partition("_from_")
    return source if mode == "int8" and type(source) is str else policy
