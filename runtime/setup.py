"""Builds the optional kernel; pyproject.toml has everything else.

Where there is no C compiler the extension is left out and the runtime computes with NumPy alone, as it does where
LSTMCONV_RUNTIME_PURE=1 asks for that.
"""

import os

from setuptools import Extension, setup

kernel = Extension(
    "lstmconv_runtime._kernel",
    ["lstmconv_runtime/_kernel.c"],
    depends=[f"lstmconv_runtime/_kernel_{part}.h" for part in ("int8", "loop", "threads", "vnni")],
    # Contraction into fused operations is meant; reassociation (as of -ffast-math) would break the range reduction.
    extra_compile_args=["-std=c11", "-O3", "-ffp-contract=fast", "-fvisibility=hidden", "-g0", "-pthread"],
    extra_link_args=["-pthread"],
    optional=True,
    py_limited_api=True,
)
pure = os.environ.get("LSTMCONV_RUNTIME_PURE") == "1"
setup(
    ext_modules=[] if pure else [kernel],
    options={} if pure else {"bdist_wheel": {"py_limited_api": "cp311"}},
)
