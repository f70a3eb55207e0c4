"""A model with what its users need beside it: names of its classes, and a tokenizer for texts."""

from dataclasses import dataclass

from tlhelpers.models.ends import kind_of_outputs
from tlhelpers.models.inputs import read_inputs
from tlhelpers.reading.tasks import task_of_end
from tlhelpers.scores.classification import to_each, to_probabilities
from tlhelpers.sources.text_preprocessing import TextPreprocessor
from tlhelpers.tuning.freezing import flags_of, restore_flags

import keras
import numpy as np


@dataclass(frozen=True, eq=False, repr=False)
class Classifier:
    """A model, what turns texts into its inputs (None for images), and the names of its classes.

    What goes in, `x`, are n texts, or pairs `(first, second)`, of a text model, and images or
    other arrays, as the model takes them, of all others. `str()` says what it is.
    """

    model: keras.Model
    preprocessor: TextPreprocessor | None
    class_names: tuple[str, ...]
    known_task: str | None = None  # as it was saved: a file has no loss that would tell

    def __getstate__(self) -> dict:
        return {**vars(self), "trainable": flags_of(self.model)}

    def __setstate__(self, state: dict) -> None:
        """Keras' copy of a model forgets what is frozen inside its composite layers."""
        restore_flags(state["model"], state.pop("trainable"))
        vars(self).update(state)

    @property
    def task(self) -> str:
        """Return "multiclass", "binary", "multilabel" or "regression"."""
        return self.known_task or task_of_end(self.model)

    def __str__(self) -> str:
        kind = "arrays" if self.preprocessor is None else "texts"
        if kind == "arrays" and len(self.model.input_shape) == 4:
            kind = "images"
        shown = ", ".join(self.class_names[:6]) + (", ..." if len(self.class_names) > 6 else "")
        return (
            f"{self.model.name}: {kind} to {self.task}, {len(self.class_names)} names ({shown})\n"
            f"takes {self.preprocessor or self.model.input_shape}, gives "
            f"{kind_of_outputs(self.model) or 'numbers'} {self.model.output_shape}, "
            f"{self.model.count_params():,} weights"
        )

    __repr__ = __str__

    def predict(self, x, batch_size: int = 64) -> np.ndarray:
        """Return what the model gives, as `model.predict` does; but strings may go in.

        Raises:
            ValueError: what the preprocessor refuses as texts, or the model as images.
        """
        prepare = self.preprocessor
        x = read_inputs(self.model, x) if prepare is None else prepare(x)
        return self.model.predict(x, batch_size=batch_size, verbose=0)

    def probabilities(self, x, batch_size: int = 64) -> np.ndarray:
        """Return probabilities `(n, classes)`: rows sum to one, unless each label is by itself.

        Raises:
            ValueError: what `predict` raises; a regression.
        """
        if self.task == "regression":
            raise ValueError(
                f"`model` must tell classes apart. Received: model={self.model.name!r}, which "
                "gives numbers (regression). Use predict(x)."
            )
        kind = kind_of_outputs(self.model)
        if kind is None and (self.task == "multilabel" or self.model.output_shape[-1] == 1):
            raise ValueError(
                "`model` must end in a layer that tells logits from probabilities. Received: "
                f"model={self.model.name!r}. End it in keras.layers.Activation('sigmoid') if it "
                "gives logits, or use predict(x)."
            )
        convert = to_each if self.task == "multilabel" else to_probabilities
        return convert(self.predict(x, batch_size), kind)[0]

    def classify(self, x, batch_size: int = 64) -> list:
        """Return the name of the most probable class of each; of a multilabel model all names.

        These are lists: of each sample the labels with a probability of .5 or above.
        """
        found = self.probabilities(x, batch_size)
        if self.task == "multilabel":
            return [[self.class_names[i] for i in np.flatnonzero(row >= 0.5)] for row in found]
        return [self.class_names[number] for number in found.argmax(axis=1)]
