"""One picture from a file: upright, RGB, of one size."""

import os
from pathlib import Path
from typing import BinaryIO

from tlhelpers.checks.words import check_choice, check_whole
from tlhelpers.sources.class_folders import files_below

import numpy as np
from PIL import Image, ImageOps

SUFFIXES = frozenset([".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"])
FITS = ("crop", "pad", "stretch")


def load_picture(
    path: str | os.PathLike, size: tuple[int, int] | None = (160, 160), fit: str = "crop"
) -> np.ndarray:
    """Read a picture as a model of this package wants it: for one prediction, or many.

    It is turned upright where the camera said how it was held (EXIF). Grey, palette, CMYK and
    16-bit pictures become RGB, transparent parts white; of an animation the first frame is read.

    Args:
        path: of a BMP, GIF, JPEG, PNG, TIFF or WebP file.
        size: `(height, width)` in pixels, that of the model's input; None for its own.
        fit: how a picture of other proportions gets that size: "crop" keeps its middle, "pad" all
            of it between black bars, "stretch" all of it, distorted.

    Returns:
        An array uint8 `(height, width, 3)`, 0..255.

    Raises:
        ValueError: a file that does not exist, or is no whole picture; one whose numbers have no
            known range (32 bits a pixel); a bad size or fit.

    Example:
        >>> load_picture("cat.jpg", (96, 128)).shape
        (96, 128, 3)
    """
    path = Path(path)
    if not path.is_file():
        raise ValueError(f"`path` must be a picture's file. Received: {path}, which is no file.")
    return decode_picture(path, size, fit, str(path))


def decode_picture(
    source: Path | BinaryIO, size: tuple[int, int] | None, fit: str, name: str
) -> np.ndarray:
    """Return what `load_picture` does for a file, or the bytes of one; errors call it `name`."""
    height, width = (0, 0) if size is None else check_size(size)
    check_choice("fit", fit, FITS)
    try:
        with Image.open(source) as image:
            if size is not None:  # a large JPEG is decoded smaller
                image.draft(None, (2 * max(size), 2 * max(size)))
            rgb = _as_rgb(ImageOps.exif_transpose(image))
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise ValueError(
            f"`path` must be a whole picture. Received: {name}: {error}. Save it again as PNG or "
            "JPEG, or take it away."
        ) from error
    if size is None:
        return np.asarray(rgb)
    if fit == "crop":
        rgb = ImageOps.fit(rgb, (width, height))
    elif fit == "pad":
        rgb = ImageOps.pad(rgb, (width, height))
    else:
        rgb = rgb.resize((width, height), Image.Resampling.BICUBIC)
    return np.asarray(rgb)


def load_pictures(
    folder: str | os.PathLike, size: tuple[int, int] = (160, 160), fit: str = "crop"
) -> tuple[np.ndarray, list[Path]]:
    """Read all pictures below a folder, in the order of their names: those without a class.

    Args:
        folder, size, fit: as for `load_folder`, which reads those with a folder for each class.

    Returns:
        Images uint8 `(n, height, width, 3)`, and their files.

    Raises:
        ValueError: a folder that is none, or holds no picture; what `load_picture` raises.

    Example:
        >>> images, files = tl.load_pictures("pets", size=(96, 96))
        >>> images.shape, len(files)
        ((24, 96, 96, 3), 24)
    """
    files = pictures_below(Path(folder)) if Path(folder).is_dir() else []
    if not files:
        raise ValueError(
            f"`folder` must hold pictures ({' '.join(sorted(SUFFIXES))}). Received: {folder}, "
            f"{'without any' if Path(folder).is_dir() else 'which is no folder'}. Put some there."
        )
    return np.stack([load_picture(file, size, fit) for file in files]), files


def pictures_below(folder: Path) -> list[Path]:
    """Return the files of pictures in a folder and below it, sorted; hidden ones do not count."""
    return files_below(folder, SUFFIXES)


def check_size(size) -> tuple[int, int]:
    """Return a size as two whole numbers, or say that it must be `(height, width)`."""
    if not isinstance(size, tuple | list) or len(size) != 2:
        raise ValueError(f"`size` must be (height, width) in pixels. Received: size={size!r}.")
    height, width = (check_whole("size", side, 1, cure="Try (160, 160).") for side in size)
    return height, width


def _as_rgb(image: Image.Image) -> Image.Image:
    if image.mode in ("I", "F"):
        raise ValueError(f"32 bits a pixel (mode {image.mode!r}), and nothing says what is white")
    if image.mode.startswith("I;16"):  # Pillow would cut off what is above 255
        image = Image.fromarray((np.asarray(image, "float32") / 257).round().astype("uint8"))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image.convert("RGB")
