"""Array types of the kernels' signatures.

Explicit signatures compile once, into numba's cache, so that imports stay quick. Arrays that come from
mapped files are read-only, which numba takes into the type; a writable array may be passed for one.
"""

from pathlib import Path

import numba as nb

from pipeline.kernel_cache import keep_kernels_apart

# Every module with a kernel takes its types from here, so this comes before the first of them.
keep_kernels_apart(Path(__file__).parent)

U8, U32, U64 = nb.uint8[::1], nb.uint32[::1], nb.uint64[::1]
I32, I64, F32 = nb.int32[::1], nb.int64[::1], nb.float32[::1]
BYTES = nb.types.Array(nb.uint8, 1, "C", readonly=True)
READ_U16 = nb.types.Array(nb.uint16, 1, "C", readonly=True)
READ_U32 = nb.types.Array(nb.uint32, 1, "C", readonly=True)
READ_U64 = nb.types.Array(nb.uint64, 1, "C", readonly=True)
READ_I32 = nb.types.Array(nb.int32, 1, "C", readonly=True)
READ_I64 = nb.types.Array(nb.int64, 1, "C", readonly=True)
ANY_U32 = nb.types.Array(nb.uint32, 1, "A", readonly=True)  # a column of a table, say
READ_F32 = nb.types.Array(nb.float32, 1, "C", readonly=True)
READ_COUNTS = nb.types.Array(nb.int32, 2, "C", readonly=True)
