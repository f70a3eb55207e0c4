"""A model of texts as one folder: with its tokenizer, checked, and put in place as a whole."""

import contextlib
import json
import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from tlhelpers.checks.data import check_tokens
from tlhelpers.checks.files import is_intact, sha256
from tlhelpers.checks.vocabulary import check_vocabulary, remember_vocabulary
from tlhelpers.sources.bert import import_keras_hub
from tlhelpers.sources.text_preprocessing import TextPreprocessor
from tlhelpers.tuning.freezing import flags_of, restore_flags

import keras

_FILES = {"model.keras", "preprocessor/preprocessor.json", "preprocessor/tokenizer.json",
          "preprocessor/assets/tokenizer/vocabulary.txt"}  # fmt: skip


@dataclass(frozen=True)
class TextFolder:
    """A kind of folder: its format, the file that tells about it, and the verb that writes it."""

    format: str
    about: str
    saver: str

    def write(self, folder, model: keras.Model, preprocessor: TextPreprocessor, inputs, **about):
        """Write model and tokenizer, and `about` with the size and SHA-256 of each file.

        It is written beside its place, then moved there; an earlier save comes back if that fails.

        Args:
            inputs: of the model for an empty text, which must fit it.

        Raises:
            ValueError: another tokenizer or length than the model's; adapters; a folder that
                holds something else.
        """
        check_tokens(model, inputs)
        check_vocabulary(model, preprocessor.tokenizer)
        if any(getattr(layer, "lora_enabled", False) for layer in model._flatten_layers()):
            raise ValueError(
                f"`model` must be without LoRA. Received: model={model.name!r} with adapters. Call "
                "merge_lora(model) first, or keep the adapters alone with save_adapters."
            )
        target = Path(folder).resolve()
        self._check_place(target)
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{target.name}.") as beside:
            new = Path(beside) / "new"
            new.mkdir()
            model.save(new / "model.keras")
            preprocessor.layer.save_to_preset(str(new / "preprocessor"))
            files = {
                name: {"size": (new / name).stat().st_size, "sha256": sha256(new / name)}
                for name in sorted(_inside(new))
            }
            about = {"format": self.format, "keras": keras.__version__, **about,
                     "trainable": flags_of(model), "files": files}  # fmt: skip
            (new / self.about).write_text(json.dumps(about, indent=1), encoding="utf8")
            _put_in_place(new, target)

    def read(self, folder, make):
        """Return `make(model, preprocessor, about)` of a folder that `write` wrote, whole.

        Raises:
            ValueError: another folder, or one of another format; a file that is missing or not as
                it was saved; what `make` refuses; KerasHub is missing.
        """
        import_keras_hub()  # its layers must be known before a model with them is read
        folder = Path(folder)
        try:
            return make(*self._parts(folder))
        except Exception as error:  # a damaged file makes Keras and KerasHub raise all kinds
            cure = f"Save the model again with {self.saver}, or copy its folder again as a whole."
            left = _replaced(folder.resolve())
            if left.exists() and not folder.exists():
                cure = f"A halted save left the earlier model in {str(left)!r}: rename it to "
                cure += f"{folder.name!r}."
            raise ValueError(
                f"`folder` must be one of {self.saver}, whole. "
                f"Received: folder={str(folder)!r}: {type(error).__name__}: {error}. {cure}"
            ) from error

    def _parts(self, folder: Path) -> tuple[keras.Model, TextPreprocessor, dict]:
        about = json.loads((folder / self.about).read_text(encoding="utf8"))
        if about["format"] != self.format:
            raise ValueError(f"its format is {about['format']!r} and not {self.format!r}")
        for name, file in about["files"].items():
            if not is_intact(folder / name, file):
                raise ValueError(f"{name} is missing or not as it was saved")
        settings = json.loads((folder / "preprocessor/preprocessor.json").read_text("utf8"))
        layer = keras.saving.deserialize_keras_object(settings, safe_mode=True)
        layer.tokenizer.load_assets(str(folder / "preprocessor/assets/tokenizer"))
        model = keras.models.load_model(folder / "model.keras", compile=False, safe_mode=True)
        restore_flags(model, about["trainable"])
        remember_vocabulary(model, layer.tokenizer)
        return model, TextPreprocessor(layer), about

    def _check_place(self, target: Path) -> None:
        """Refuse a place where anything but an earlier model would be lost."""
        others = {"a file"} if target.is_file() else _inside(target)
        if (target / self.about).is_file():
            others -= {self.about, *_FILES}
            with contextlib.suppress(ValueError, KeyError, TypeError):  # damaged, or older
                about = json.loads((target / self.about).read_text(encoding="utf8"))
                others -= set(about["files"])
        if others:
            raise ValueError(
                f"`folder` must be new, empty, or one of {self.saver} with nothing added. "
                f"Received: folder={str(target)!r}, which holds something else: "
                f"{', '.join(sorted(others)[:5])}. Move it away, or name another folder."
            )


def _inside(folder: Path) -> set[str]:
    return {p.relative_to(folder).as_posix() for p in folder.rglob("*") if not p.is_dir()}


def _replaced(target: Path) -> Path:
    """Return where the earlier model is while a new one takes its place."""
    return target.with_name(f".{target.name}.replaced")


def _put_in_place(new: Path, target: Path) -> None:
    old = _replaced(target)
    try:
        if target.exists():
            shutil.rmtree(old, ignore_errors=True)  # of a save that was killed at its end
            os.replace(target, old)
        os.replace(new, target)
    except BaseException:
        if old.exists() and not target.exists():
            os.replace(old, target)
        raise
    shutil.rmtree(old, ignore_errors=True)
