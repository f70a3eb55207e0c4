"""Two pictures of stained tissue, with a mask of the kinds of nuclei in each.

picture 1500 x 1500        mask 1500 x 1500          nuclei
pink and violet     ->     0 0 0 2 2 0 3 3    ->     row 12, column 40, type 2
"""

import struct
from dataclasses import dataclass
from pathlib import Path

from tlhelpers.checks.words import announce
from tlhelpers.sources.assets import fetch, origin_of

import numpy as np
from PIL import Image, ImageDraw

TYPES = ("background", "connective", "inflammatory", "neoplastic")


@dataclass(frozen=True)
class Tissue:
    """One picture of tissue, and what a model has drawn on it.

    Attributes:
        picture: uint8 `(height, width, 3)`, 0..255 RGB.
        mask: uint8 `(height, width)`, the type of each pixel, an index of `class_names`.
        nuclei: one row for each nucleus, with the fields "row" and "column" of its centre in
            pixels (float32) and "type" (int64).
        class_names: background, connective, inflammatory, neoplastic.
        origin: where it came from.
    """

    picture: np.ndarray
    mask: np.ndarray
    nuclei: np.ndarray
    class_names: tuple[str, ...]
    origin: str


def load_tissue() -> tuple[Tissue, Tissue]:
    """Return two pictures of one kind of ovarian cancer: a nest of the tumour, and stroma.

    The stain is haematoxylin and eosin (H&E): nuclei are violet, the rest is pink. The stroma is
    another domain: it is nearly empty, and nearly all of its nuclei are connective.

    **The masks are the output of a model** that its authors trained for this cancer, and no
    pathologist's truth. They are good for learning how it's done, not for a diagnosis. Nothing
    says whether both pictures are of one patient.

    Returns:
        The nest and the stroma. The first use downloads 39 MB from the package index.

    Raises:
        ValueError: what `fetch` raises.

    Example:
        >>> nest, stroma = tl.load_tissue()  # doctest: +SKIP
        tissue: mirror, histolytics==0.3.0 from the package index
        >>> nest.picture.shape, nest.mask.shape, len(nest.nuclei)  # doctest: +SKIP
        ((1500, 1500, 3), (1500, 1500), 1294)

    Reference:
        Data of the package histolytics 0.3.0, BSD-3-Clause.
    """
    folder, origin = fetch("tissue"), origin_of("tissue")
    announce(f"tissue: {origin}")
    types, instances = (
        np.load(folder / f"hgsc_nest_{kind}_mask.npz")["nuc_raster"] for kind in ("type", "inst")
    )
    nest = _tissue(folder / "hgsc_nest.jpg", types, instances, origin)
    drawn = _drawn(folder / "hgsc_stromal_cells.parquet", nest.mask.shape[0])
    return nest, _tissue(folder / "hgsc_stromal_he.jpg", *drawn, origin)


def _tissue(path: Path, types: np.ndarray, instances: np.ndarray, origin: str) -> Tissue:
    with Image.open(path) as image:
        picture = np.asarray(image.convert("RGB"))
    return Tissue(picture, types.astype("uint8"), nuclei_of(types, instances), TYPES, origin)


def nuclei_of(types: np.ndarray, instances: np.ndarray) -> np.ndarray:
    """Return the centre and the commonest type of each instance, in order of their numbers.

    Args:
        types: integers `(height, width)`; 0 is background.
        instances: integers `(height, width)`, a number for each object; 0 is background.

    Returns:
        An array with the fields "row", "column" and "type", one element for each object.

    Example:
        >>> types = np.array([[0, 2, 2], [0, 2, 3]])
        >>> nuclei_of(types, 7 * (types > 0)).tolist()
        [(0.5, 1.5, 2)]
    """
    rows, columns = np.nonzero(instances)
    numbers, members, counts = np.unique(
        instances[rows, columns], return_inverse=True, return_counts=True
    )
    votes = np.zeros((len(numbers), int(types.max(initial=0)) + 1), int)
    np.add.at(votes, (members, types[rows, columns]), 1)
    table = np.empty(len(numbers), [("row", "f4"), ("column", "f4"), ("type", "i8")])
    table["row"] = np.bincount(members, rows, len(numbers)) / counts
    table["column"] = np.bincount(members, columns, len(numbers)) / counts
    table["type"] = votes.argmax(axis=1) if len(votes) else 0
    return table


def _drawn(path: Path, side: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the outlines in a Parquet file as square masks of types and of instances."""
    from pyarrow import parquet

    outlines = parquet.read_table(path).to_pydict()
    types, instances = (Image.new("I", (side, side)) for _ in range(2))
    pairs = zip(outlines["geometry"], outlines["class_name"], strict=True)
    for number, (geometry, name) in enumerate(pairs, start=1):
        outline = outline_of(geometry)
        ImageDraw.Draw(types).polygon(outline, fill=TYPES.index(name))
        ImageDraw.Draw(instances).polygon(outline, fill=number)
    return np.asarray(types), np.asarray(instances)


def outline_of(geometry: bytes) -> list[tuple[float, float]]:
    """Return the outer ring of a polygon in well-known binary, as (x, y) pairs.

    Raises:
        ValueError: another geometry than a polygon.

    Example:
        >>> ring = struct.pack("<BIII6d", 1, 3, 1, 3, 0, 0, 4, 0, 4, 2)
        >>> outline_of(ring)
        [(0.0, 0.0), (4.0, 0.0), (4.0, 2.0)]

    Reference:
        OGC 06-103r4, "Simple feature access", section 8.2: byte order, type 3, rings, points.
    """
    order = "<" if geometry[0] else ">"
    kind, rings = struct.unpack_from(f"{order}II", geometry, 1)
    if kind != 3 or rings < 1:
        raise ValueError(
            f"`geometry` must be a polygon with a ring. Received: type {kind} with {rings} rings. "
            "Split other shapes into polygons first."
        )
    (points,) = struct.unpack_from(f"{order}I", geometry, 9)
    return list(struct.iter_unpack(f"{order}2d", geometry[13 : 13 + 16 * points]))
