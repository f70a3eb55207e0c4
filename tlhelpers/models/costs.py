"""What a model costs to run, read off its graph: weights, multiply-adds, activations."""

import math
from dataclasses import dataclass

from tlhelpers.models.graph import walk

import keras

_layers = keras.layers
_PLAIN = (_layers.Dense, _layers.Conv1D, _layers.Conv2D, _layers.Conv3D)
_DEPTHWISE = (_layers.DepthwiseConv1D, _layers.DepthwiseConv2D)
_SEPARABLE = (_layers.SeparableConv1D, _layers.SeparableConv2D)
_TRANSPOSED = (_layers.Conv1DTranspose, _layers.Conv2DTranspose, _layers.Conv3DTranspose)
# In these layers each number of a kernel is used once at each place.
_COUNTED = _PLAIN + _DEPTHWISE + _SEPARABLE + _TRANSPOSED


@dataclass(frozen=True)
class Cost:
    """What one sample costs.

    Attributes:
        weights: numbers that the model holds; shared layers count once.
        multiply_adds: of one forward pass in convolutions and dense layers, an addition counted
            with its multiplication; NaN where a layer of another kind has matrices.
        activations: numbers that all layers put out for one sample (a nested model without a graph:
            its output). Training every layer keeps about four bytes for each, times the batch.
    """

    weights: int
    multiply_adds: float
    activations: int


def count_cost(model: keras.Model, input_shape: tuple[int, ...] | None = None) -> Cost:
    """Return the `Cost` of one sample in a functional or built Sequential model.

    Nested models are opened (a subclassed one, which has no graph, counts as a layer of another
    kind), and a layer that is called twice costs twice. Additions, activation functions, pooling
    and normalization are left out of the multiply-adds, as in most papers.

    Args:
        model: a model with one input.
        input_shape: of one sample, without the batch axis. Defaults to the model's own, which must
            then leave no size open.

    Raises:
        ValueError: a model without a graph or with several inputs; a size that is left open.

    Example:
        >>> base = keras.applications.VGG16(include_top=False, weights=None)
        >>> count_cost(base, (224, 224, 3)).multiply_adds
        15346630656
    """
    walk(model)  # a model with a graph, or an error
    if len(model.inputs) != 1:
        raise ValueError(
            f"`model` must have one input. Received: {model.name!r} with {len(model.inputs)}. "
            "Count its parts one by one."
        )
    shape = tuple(model.inputs[0].shape[1:]) if input_shape is None else tuple(input_shape)
    if None in shape:
        raise ValueError(
            f"`input_shape` must have a number for every size. Received: input_shape={shape}, for "
            f"{model.name!r}. Give them: input_shape=(224, 224, 3)."
        )
    counted: list[tuple[float, int]] = []
    _run(model, [keras.KerasTensor((1, *shape), model.inputs[0].dtype)], counted)
    multiply_adds, activations = map(sum, zip(*counted, strict=True))
    return Cost(model.count_params(), multiply_adds, activations)


def _run(model: keras.Model, inputs: list, counted: list):
    """Pass shapes through the graph, and note every call's multiply-adds and outputs."""

    def visit(operation):
        def call(*args, **kwargs):
            if hasattr(_graph(operation), "_run_through_graph"):
                return _run(operation, keras.tree.flatten(args), counted)
            outputs = operation.compute_output_spec(*args, **kwargs)
            sizes = [math.prod(tensor.shape) for tensor in keras.tree.flatten(outputs)]
            counted.append((_multiply_adds(operation, args, outputs), sum(sizes)))
            return outputs

        return call

    return _graph(model)._run_through_graph(inputs, operation_fn=visit)


def _graph(operation: keras.Operation):
    return operation._functional if isinstance(operation, keras.Sequential) else operation


def _multiply_adds(operation: keras.Operation, args: tuple, outputs) -> float:
    matrices = [w for w in getattr(operation, "weights", ()) if len(w.shape) > 1]
    if not matrices:
        return 0
    if not isinstance(operation, _COUNTED):
        return math.nan
    places = (args[0] if isinstance(operation, _TRANSPOSED) else outputs).shape[1:-1]
    return math.prod(places) * sum(math.prod(matrix.shape) for matrix in matrices)
