"""Serving texts: classify with what tl.export wrote, without this package.

    python serve_texts.py result "A warm and funny film."
    python serve_texts.py result < texts.txt

It needs TensorFlow, Keras and KerasHub, which cuts texts into tokens. Each text, an argument or a
line of the input, gives a line of JSON.
"""

import argparse
import json
import os
import sys
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # before TensorFlow is imported

import keras
import keras_hub  # noqa: F401  (it knows the tokenizer)
import tensorflow as tf


def load(folder):
    """Return the model, what turns texts into its inputs, and the names of its classes."""
    served = tf.saved_model.load(folder / "served")
    names = json.loads((folder / "served/class_names.json").read_text(encoding="utf8"))
    kept = folder / "classifier/preprocessor"
    settings = json.loads((kept / "preprocessor.json").read_text(encoding="utf8"))
    preprocessor = keras.saving.deserialize_keras_object(settings)
    preprocessor.tokenizer.load_assets(str(kept / "assets/tokenizer"))
    return served, preprocessor, names


def classify(text, served, preprocessor, names):
    tokens = {name: tf.cast(part, "int32") for name, part in preprocessor([text]).items()}
    odds = tf.nn.softmax(served.serve(tokens))[0].numpy()
    return {
        "text": text,
        "class": names[odds.argmax()],
        "probability": round(float(odds.max()), 4),
    }


def main():
    kind = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=kind)
    parser.add_argument("folder", help="the result of text_classification.py or lora.py")
    parser.add_argument("texts", nargs="*", help="none: the lines of the input")
    options = parser.parse_args()
    try:
        model = load(Path(options.folder))
        for text in options.texts or map(str.strip, sys.stdin):
            print(json.dumps(classify(text, *model)), flush=True)
    except (OSError, ValueError, KeyError) as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
