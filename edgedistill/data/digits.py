"""Reads the built-in digits: 1,797 grey images of 8x8 pixels that ship with scikit-learn."""

from __future__ import annotations

import numpy as np

from edgedistill.data.source import Source, array_pool, arrays_identity


def read() -> Source:
    """Optical recognition of handwritten digits (Alpaydin & Kaynak 1998, UCI); values 0..16 become 0..255."""
    from sklearn.datasets import load_digits

    bunch = load_digits()
    images_NHWC = np.rint(bunch.images * (255.0 / 16.0)).astype(np.uint8)[..., None]  # [1797,8,8,1]
    labels = bunch.target.astype(np.int64)
    return Source(
        name="digits",
        train=array_pool(images_NHWC, labels, "digits"),
        labels=tuple(str(digit) for digit in range(10)),
        identity=arrays_identity(images_NHWC, labels),
    )
