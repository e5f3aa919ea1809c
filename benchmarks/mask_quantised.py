"""The trained mask network made quick: its encoder in whole numbers of 8 bits, and two layers written as cheaper ones.

    python -m benchmarks.mask_quantised TRAINED.onnx QUICK.onnx [../shared/data]

`workers/signals/mask_network.onnx` is such a file, made of what `benchmarks.mask_training` writes. Needs `onnx`, as
that does. Three things are done, each where it was measured to pay (onnxruntime 1.32, one thread, AVX-512 VNNI):

- The first layer divides by itself; nothing else is changed by it.
- The last layer, of 16 channels to one, is one filter for each channel, then their sum: the runtime computes 16
  channels at once, so that one took the time of sixteen. The same numbers but for rounding.
- The encoder from its second stage on is quantised (static, weights a channel at a time), its ranges those that every
  ninth photo of clothing in the half for training has. Weights have 7 bits: with 8, processors without VNNI add up past
  16 bits and are wrong (onnxruntime's manual, "reduce_range"). The stem and the decoder, few channels on many pixels,
  stay in floats: in whole numbers they take longer.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import cv2
import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper
from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process

from benchmarks.mask_composites import halves, read
from workers.signals.mask_network import squared

EVERY: Final = 9
# The layers of the encoder, as the export names them: from behind the first stage to where the decoder begins.
FIRST: Final = "node_conv2d_3"
LAST: Final = "node_conv2d_32"


def main() -> None:
    trained, quick = Path(sys.argv[1]), Path(sys.argv[2])
    photos = Path(sys.argv[3]) if len(sys.argv) > 3 else Path("../shared/data")
    model = onnx.load(trained)
    divide_in_first_layer(model)
    split_last_layer(model)
    with tempfile.TemporaryDirectory() as folder:
        plain, ready = Path(folder) / "plain.onnx", Path(folder) / "ready.onnx"
        onnx.save(model, plain)
        quant_pre_process(plain, ready)
        names = [node.name for node in onnx.load(ready).graph.node]
        quantize_static(
            ready, quick, _Photos(halves(photos / "clothing", training=True)[::EVERY]), quant_format=QuantFormat.QDQ,
            per_channel=True, reduce_range=True, activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8,
            nodes_to_quantize=names[names.index(FIRST) : names.index(LAST) + 1],
            calibrate_method=CalibrationMethod.MinMax,
        )  # fmt: skip
    made = onnx.load(quick)
    for node in made.graph.node:
        node.metadata_props.clear()  # lines of code, with the paths of the machine they were run on
    onnx.save(made, quick)


def divide_in_first_layer(model: ModelProto) -> None:
    """Take the division of the input by one number out, and divide the first layer's weights by it instead."""
    weights = _weights(model)
    division = next(node for node in model.graph.node if node.op_type == "Div")
    first = next(node for node in model.graph.node if node.op_type == "Conv")
    by = numpy_helper.to_array(weights[division.input[1]])
    _replace(weights[first.input[1]], numpy_helper.to_array(weights[first.input[1]]) / by)
    first.input[0] = division.input[0]
    model.graph.node.remove(division)
    model.graph.initializer.remove(weights[division.input[1]])


def split_last_layer(model: ModelProto) -> None:
    """Write the last layer, a filter of all channels to one, as a filter for each of them and the sum of those."""
    weights = _weights(model)
    last: NodeProto = model.graph.node[-1]
    before, name, bias = last.input
    kernel = numpy_helper.to_array(weights[name])
    channels = kernel.shape[1]
    _replace(weights[name], kernel.transpose(1, 0, 2, 3))
    model.graph.initializer.append(numpy_helper.from_array(np.ones((1, channels, 1, 1), np.float32), "last.sum"))
    shape = {part.name: helper.get_attribute_value(part) for part in last.attribute if part.name != "group"}
    each = helper.make_node("Conv", [before, name], ["last.each"], name="node_last_each", group=channels, **shape)
    total = helper.make_node("Conv", ["last.each", "last.sum", bias], [last.output[0]], name="node_last_sum")
    model.graph.node.remove(last)
    model.graph.node.extend([each, total])


class _Photos(CalibrationDataReader):
    """Photos as the network gets them."""

    def __init__(self, files: list[Path]) -> None:
        cv2.setNumThreads(1)
        self._batches: Iterator[NDArray[np.float32]] = (squared(read(file)) for file in files)

    def get_next(self) -> dict[str, NDArray[np.float32]] | None:
        batch = next(self._batches, None)
        return None if batch is None else {"pixels": batch}


def _weights(model: ModelProto) -> dict[str, TensorProto]:
    return {weights.name: weights for weights in model.graph.initializer}


def _replace(weights: TensorProto, values: NDArray[np.float32]) -> None:
    weights.CopyFrom(numpy_helper.from_array(np.ascontiguousarray(values, dtype=np.float32), weights.name))


if __name__ == "__main__":
    main()
