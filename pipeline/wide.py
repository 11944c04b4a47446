"""Many bytes at once: what the tokeniser's kernel needs beyond plain numba, as LLVM's own instructions.

LLVM makes of them what the processor has (AVX-512, AVX2, NEON ...), or something slower where it has none.
"""

import itertools
import string
from typing import Any

import numba as nb
import numpy as np
import numpy.typing as npt
from llvmlite import ir
from numba.core import cgutils, config
from numba.extending import intrinsic

from pipeline.arrays import BYTES
from pipeline.unicode.build import NEWLINES, STOPS

LINE_BYTES = 64  # of the processor's cache
# Keys between one that is counted or looked up and the one whose place is fetched for later.
AHEAD = 16
LETTERS, CAPITALS, DIGITS = string.ascii_letters, string.ascii_uppercase, string.digits
_STOPS, _NEWLINES = ("".join(filter(str.isascii, characters)) for characters in (STOPS, NEWLINES))
# What `classes_of_64` tells of a byte, but for whether it is ASCII at all. Newlines are among the stops here:
# for a processor without registers of masks (AVX2) LLVM joined the two masks of 64 bits byte by byte.
_CLASSES = (LETTERS + DIGITS, DIGITS, CAPITALS, _STOPS + _NEWLINES, _NEWLINES, "\n", ",.")

if config.DISABLE_JIT:  # type: ignore[attr-defined]

    def load_word(data: npt.NDArray[np.uint8], at: int) -> np.uint64:
        """data[at:at + 8] as a little-endian word."""
        return np.uint64(int.from_bytes(data[at : at + 8].tobytes(), "little"))

    def load_key(data: npt.NDArray[np.uint8], at: int) -> np.uint32:
        """data[at:at + 4] as a little-endian number."""
        return np.uint32(int.from_bytes(data[at : at + 4].tobytes(), "little"))

    def lowest_bit(word: np.uint64) -> int:
        """Place of the lowest bit that is set; 64 where there is none."""
        bits = int(word)
        return (bits & -bits).bit_length() - 1 if bits else 64

    def count_bits(word: np.uint64) -> int:
        """How many bits are set."""
        return int(word).bit_count()

    def classes_of_64(data: npt.NDArray[np.uint8], at: int) -> tuple[np.uint64, ...]:
        """Bit k of each: data[at + k] is a letter or digit; a digit; a capital; a stop or newline; a newline;
        a line feed; a comma or point; no ASCII."""  # fmt: skip
        block = data[at : at + 64].tolist()
        wanted = (*_CLASSES, "".join(map(chr, range(128, 256))))
        return tuple(np.uint64(sum((chr(byte) in w) << k for k, byte in enumerate(block))) for w in wanted)

    def prefetch(array: npt.NDArray[Any], at: int | np.int64) -> None:
        """Nothing: it makes no difference to the result."""

else:
    _BYTES_64 = ir.VectorType(ir.IntType(8), 64)

    def _each(value: int) -> Any:
        """64 bytes of the same value."""
        return ir.Constant(_BYTES_64, [value] * 64)

    def _place(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        """Address of data[at]."""
        array = context.make_array(signature.args[0])(context, builder, arguments[0])
        return builder.gep(array.data, [arguments[1]])

    def _loader(n_bits: int) -> Any:
        """What loads so many bits, which need not be aligned."""

        def load(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            place = _place(context, builder, signature, arguments)
            return builder.load(builder.bitcast(place, ir.IntType(n_bits).as_pointer()), align=1)

        return load

    @intrinsic
    def load_word(context: Any, data: Any, at: Any) -> Any:
        """data[at:at + 8] as a little-endian word; `at` need not be aligned and isn't checked."""
        return nb.uint64(BYTES, nb.int64), _loader(64)

    @intrinsic
    def load_key(context: Any, data: Any, at: Any) -> Any:
        """data[at:at + 4] as a little-endian number; `at` need not be aligned and isn't checked."""
        return nb.uint32(BYTES, nb.int64), _loader(32)

    @intrinsic
    def lowest_bit(context: Any, word: Any) -> Any:
        """Place of the lowest bit that is set; 64 where there is none."""

        def count(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            return builder.cttz(arguments[0], ir.Constant(ir.IntType(1), 0))

        return nb.int64(nb.uint64), count

    @intrinsic
    def count_bits(context: Any, word: Any) -> Any:
        """How many bits are set."""

        def count(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            return builder.ctpop(arguments[0])

        return nb.int64(nb.uint64), count

    def _is_among(builder: Any, values: Any, characters: str) -> Any:
        """Which of the 64 bytes are one of `characters`: a comparison for each range of them."""
        found = None
        codes = sorted(map(ord, characters))
        for low in (code for code in codes if code - 1 not in codes):
            length = next(n for n in itertools.count(1) if low + n not in codes)
            within = builder.icmp_unsigned("<", builder.sub(values, _each(low)), _each(length))
            found = within if found is None else builder.or_(found, within)
        return found

    @intrinsic
    def classes_of_64(context: Any, data: Any, at: Any) -> Any:
        """Bit k of each: data[at + k] is a letter or digit; a digit; a capital; a stop or newline; a newline;
        a line feed; a comma or point; no ASCII.

        `at` isn't checked.
        """

        def classify(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            place = _place(context, builder, signature, arguments)
            values = builder.load(builder.bitcast(place, _BYTES_64.as_pointer()), align=1)
            masks = [_is_among(builder, values, characters) for characters in _CLASSES]
            masks.append(builder.icmp_signed("<", values, _each(0)))
            words = [builder.bitcast(mask, ir.IntType(64)) for mask in masks]
            return context.make_tuple(builder, signature.return_type, words)

        masks = nb.types.UniTuple(nb.uint64, len(_CLASSES) + 1)  # type: ignore[no-untyped-call]
        return masks(BYTES, nb.int64), classify

    @intrinsic
    def prefetch(context: Any, array: Any, at: Any) -> Any:
        """Has array[at] fetched into the cache while the processor goes on; `at` isn't checked."""

        def fetch(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            place = _place(context, builder, signature, arguments)
            place = builder.bitcast(place, ir.IntType(8).as_pointer())
            number = ir.IntType(32)
            kind = ir.FunctionType(ir.VoidType(), [place.type, number, number, number])
            function = cgutils.get_or_insert_function(  # type: ignore[no-untyped-call]
                builder.module, kind, "llvm.prefetch.p0"
            )
            # For reading, to be kept in all levels, as data.
            builder.call(function, [place, *(ir.Constant(number, value) for value in (0, 3, 1))])
            return context.get_dummy_value()

        return nb.void(array, nb.int64), fetch


@nb.njit(cache=True, nogil=True, inline="always")
def fetch_bytes(octets, begin, end):  # type: ignore[no-untyped-def]
    """Has the bytes [begin, end) of an array, counted over its rows, fetched into the cache (`prefetch`)."""
    for at in range(begin, end, LINE_BYTES):
        prefetch(octets, at)
