"""Masks for new pictures, as files."""

import os
from collections.abc import Iterable
from pathlib import Path

from tlhelpers.reading.saved_models import load_classifier
from tlhelpers.sources.pictures import load_picture

import numpy as np
from PIL import Image, ImageOps


def segment_pictures(
    model: str | os.PathLike, files: Iterable[str | os.PathLike], folder: str | os.PathLike
) -> None:
    """Write the mask of each picture as a grey PNG of the picture's size, and print its shares.

    The picture is stretched to the size of the model. A pixel of the mask is the number of its
    class: 0 for the first.

    Args:
        model: a file of `save_classifier` with a model of `build_segmenter` that takes pictures of
            one size.
        files: of pictures; `new.jpg` becomes `new.png`.
        folder: where the masks go; it is made. An earlier mask of that name is replaced.

    Raises:
        ValueError: a file of another model; two pictures of one name; what `load_classifier` and
            `load_picture` raise.

    Example:
        >>> vgg16 = tl.load_backbone("vgg16", (32, 32, 3), weights=None)
        vgg16: random weights
        >>> segmenter = tl.build_segmenter(vgg16, 2)
        >>> saved = tl.save_classifier("cats.keras", segmenter, ["garden", "cat"])
        >>> tl.segment_pictures("cats.keras", ["cat.jpg"], "masks")
        cat.jpg: garden ... %, cat ... %
        >>> Image.open("masks/cat.png").size == Image.open("cat.jpg").size
        True
    """
    saved, folder, paths = load_classifier(model), Path(folder), list(map(Path, files))
    if len(saved.model.output_shape) != 4:
        raise ValueError(
            "`model` must give a class to each pixel. Received: "
            f"{model} with output shape {saved.model.output_shape}. Use tl.classify_pictures."
        )
    stems = [path.stem for path in paths]
    if twice := sorted({stem for stem in stems if stems.count(stem) > 1}):
        raise ValueError(
            "`files` must have names of their own, as each mask is called after its picture. "
            f"Received: two of {twice[0]!r}. Call it for one after the other."
        )
    folder.mkdir(parents=True, exist_ok=True)
    for file in paths:
        picture = load_picture(file, saved.model.input_shape[1:3], "stretch")
        mask = saved.model.predict(picture[None], verbose=0)[0].argmax(-1).astype("uint8")
        with Image.open(file) as image:
            size = ImageOps.exif_transpose(image).size
        large = Image.fromarray(mask).resize(size, Image.Resampling.NEAREST)
        large.save(folder / f"{file.stem}.png")
        shares = np.bincount(mask.ravel(), minlength=len(saved.class_names)) / mask.size
        told = (f"{n} {100 * s:.1f} %" for n, s in zip(saved.class_names, shares, strict=True))
        print(f"{file}: {', '.join(told)}")
