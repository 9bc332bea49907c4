"""numpy arrays over a buffer, as its description says. numpy is imported when the first is made."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ._arguments import invalid
from ._generated import DTYPES, LIMIT_DIMENSIONS, Description
from ._meta import dtype_number

if TYPE_CHECKING:
    from numpy.typing import NDArray

_dtypes: tuple[Any, ...] = ()
_numpy: Any = None


def numpy() -> Any:
    global _dtypes, _numpy
    if _numpy is None:
        try:
            import numpy as imported
        except ImportError as cause:
            raise ImportError(
                "arrays need numpy, which is not installed: pip install numpy. "
                "guard.buffer, a memoryview, does without"
            ) from cause
        _dtypes = tuple(imported.dtype(name) for name in DTYPES)
        _numpy = imported
    return _numpy


def as_described(exporter: Any, size: int, description: Description) -> NDArray[Any]:
    np = _numpy or numpy()
    dtype = _dtypes[description.dtype]
    count = description.shape_count
    if count != description.stride_count or count > LIMIT_DIMENSIONS:
        invalid(f"the buffer has {count} dimensions, and {description.stride_count} strides")
    if count == 1:
        length, stride = description.shape[0], description.strides[0]
        if stride == dtype.itemsize and length * stride <= size:
            return np.ndarray((length,), dtype, exporter)  # type: ignore[no-any-return]
    shape = tuple(description.shape[:count])
    strides = tuple(description.strides[:count])
    first, end = _extent(shape, strides, dtype.itemsize)
    if first < 0 or end > size:
        invalid(
            f"the buffer has {size} bytes, and what it says of itself is bytes {first} to {end}: "
            f"dtype {dtype}, shape {shape}, strides {strides}"
        )
    return np.ndarray(shape, dtype, exporter, 0, strides)  # type: ignore[no-any-return]


def _extent(shape: tuple[int, ...], strides: tuple[int, ...], item_size: int) -> tuple[int, int]:
    """The first byte of all elements, and the end of them."""
    if 0 in shape:
        return 0, 0
    first, end = 0, item_size
    for length, stride in zip(shape, strides):
        reach = (length - 1) * stride
        if reach < 0:
            first += reach
        else:
            end += reach
    return first, end


def as_asked(exporter: Any, size: int, dtype: Any, shape: Any) -> NDArray[Any]:
    """Contiguous. Without a shape it is as long as the bytes reach."""
    np = _numpy or numpy()
    kind = _dtypes[dtype_number(dtype)]
    if shape is None:
        if size % kind.itemsize:
            invalid(f"the buffer has {size} bytes, no multiple of the {kind.itemsize} of {kind}")
        return np.ndarray((size // kind.itemsize,), kind, exporter)  # type: ignore[no-any-return]
    count = 1
    for length in shape:
        count *= length
    if count * kind.itemsize > size:
        invalid(f"{shape} elements of {kind} do not fit into the buffer's {size} bytes")
    return np.ndarray(shape, kind, exporter)  # type: ignore[no-any-return]
