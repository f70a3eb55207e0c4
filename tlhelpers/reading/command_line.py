"""What the command lines of all recipes share: their options, their errors, their exit codes."""

import argparse
import os
import re
import shlex
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

from tlhelpers.checks.seeds import set_seed
from tlhelpers.reading.results import Results
from tlhelpers.reading.saved_models import load_classifier
from tlhelpers.reading.text_models import load_text_model
from tlhelpers.sources.pictures import load_picture

_LONGEST_NAME = 255  # of a file
_NOT_ASKED = ("out", "resume", "predict")  # what may differ when a run is gone on with


class _Help(argparse.RawDescriptionHelpFormatter, argparse.ArgumentDefaultsHelpFormatter):
    """The description as it is written, and the default of each option that has one."""

    def _get_help_string(self, action):
        none = action.default is None or action.default is False
        return action.help if none else super()._get_help_string(action)


def recipe_parser(description: str, predicts: str = "") -> argparse.ArgumentParser:
    """Return a parser with the options that all recipes share; add those of your own.

    These are `--out`, `--seed`, `--quick`, `--resume` and, where it `predicts` something,
    `--predict`.

    Args:
        description: for `--help`, such as the docstring of the program.
        predicts: what `--predict` takes, such as "PICTURE".

    Example:
        >>> parser = tl.recipe_parser("Tell cats from dogs.", predicts="PICTURE")
        >>> parser.parse_args(["--seed", "3"]).out
        'result'
    """
    parser = argparse.ArgumentParser(description=description, formatter_class=_Help)
    add = parser.add_argument
    add("--out", default="result", help="the folder of the result; new, or empty")
    add("--seed", type=int, default=0, help="draws the split and the first weights")
    add("--quick", action="store_true", help="less of everything: a try in a minute or two")
    add("--resume", action="store_true", help="go on with a run that was ended before its end")
    if predicts:
        text = f"no training: say what the model in --out makes of each {predicts}"
        add("--predict", nargs="+", metavar=predicts, help=text)
    return parser


def run_recipe(
    parser: argparse.ArgumentParser,
    train: Callable[[argparse.Namespace, Results], object],
    predict: Callable[[argparse.Namespace], object] | None = None,
    argv: list[str] | None = None,
) -> int:
    """Run a recipe as a command line, and return its exit code.

    `train` fills a `Results`, which becomes the folder `--out` when it is complete. All that goes
    wrong is one sentence on the error stream, and nothing half lies at `--out`.

    Args:
        parser: of `recipe_parser`.
        train: is given the options and the `Results`; it ends with `results.finish(...)`.
        predict: is given the options, where `--predict` was used.
        argv: the arguments, instead of those that the program was called with.

    Returns:
        0; 1 where data, a file or the disk were not as they must be; 130 after Ctrl-C. Options that
        are none end the program with 2, as always with argparse.

    Example:
        >>> parser = tl.recipe_parser("Count.")
        >>> tl.run_recipe(parser, lambda options, results: results.finish("Nothing"), argv=[])
        done: result (report.md, MODEL_CARD.md)
        0
    """
    options, results = parser.parse_args(argv), None
    try:
        set_seed(options.seed)
        if predict is not None and options.predict:
            predict(options)
            return 0
        asked = {name: value for name, value in vars(options).items() if name not in _NOT_ASKED}
        results = Results(options.out, asked, _command(argv), options.resume)
        train(options, results)
        print(f"done: {results.folder} (report.md, MODEL_CARD.md)")
        return 0
    except KeyboardInterrupt:
        return _stopped("stopped.", results, 130)
    except (ValueError, OSError, MemoryError, re.error) as error:
        return _stopped(f"error: {_sentence(error)}", results, 1)


def classify_pictures(model: str | os.PathLike, files: Iterable[str | os.PathLike]) -> None:
    """Print what a saved classifier makes of each picture: its file, class and probability.

    Args:
        model: a file of `save_classifier` that takes pictures of one size.
        files: of pictures, which are cropped to that size.

    Raises:
        ValueError: what `load_classifier` and `load_picture` raise.

    Example:
        >>> saved = tl.save_classifier("cats.keras", model, ["cat", "dog", "hen"])
        >>> tl.classify_pictures("cats.keras", ["cat.jpg"])
        cat.jpg: ... (...)
    """
    classifier = load_classifier(model)
    size = classifier.model.input_shape[1:3]
    for file in files:
        odds = classifier.probabilities(load_picture(file, size)[None])[0]
        print(f"{file}: {classifier.class_names[odds.argmax()]} ({odds.max():.2f})")


def classify_texts(model: str | os.PathLike, texts: Iterable[str]) -> None:
    """Print what a saved classifier makes of each text: the text, its class and probability.

    Args:
        model: a folder of `save_text_model`.
        texts: each one a text, or a file in UTF-8 with a text in each line.

    Raises:
        ValueError: what `load_text_model` raises; a file in another encoding.

    Example:
        >>> saved = tl.save_text_model("reviews", text_model, bert.preprocessor(6), ["bad", "good"])
        >>> tl.classify_texts("reviews", ["a fine film"])
        a fine film: ... (...)
    """
    classifier = load_text_model(model)
    for text in texts:
        is_file = len(text) < _LONGEST_NAME and Path(text).is_file()
        lines = Path(text).read_text("utf8").splitlines() if is_file else [text]
        for line, odds in zip(lines, classifier.probabilities(lines), strict=True):
            print(f"{line}: {classifier.class_names[odds.argmax()]} ({odds.max():.2f})")


def _command(argv: list[str] | None) -> str:
    return shlex.join(["python", Path(sys.argv[0]).name, *(sys.argv[1:] if argv is None else argv)])


def _sentence(error: BaseException) -> str:
    if isinstance(error, UnicodeError):
        return f"A file of texts must be UTF-8: {error}. Save it again as UTF-8."
    if isinstance(error, OSError) and error.strerror:
        where = f": {error.filename}" if error.filename else ""
        return f"{error.strerror}{where}. Make room, or choose another place."
    if isinstance(error, re.error):
        return f"A regular expression must be one of Python. Received: {error.pattern!r}: {error}."
    if isinstance(error, MemoryError):
        return "The memory is full. Take smaller pictures (--size), fewer of them, or --quick."
    return re.sub(r"pass (skip_\w+)=True", _as_option, str(error))


def _as_option(found: re.Match) -> str:
    return f"give --{found[1].replace('_', '-')}"


def _stopped(sentence: str, results: Results | None, code: int) -> int:
    if results is not None:
        results.discard()
        if results.begun_before:
            sentence += f" What is done lies in {results.path}: the same command with --resume"
            sentence += " goes on."
    print(" ".join(sentence.split()), file=sys.stderr)
    return code
