"""Keeps a finished build as a model of this repository: its files and what they are expected to give.

    python benchmarks/keep_model.py --recipe benchmarks/cifar10_resnet8.toml OUT/android-arm64 MODEL_FOLDER

card.md is written by hand. The recipe is the one that was given, without this machine's folders.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
from pathlib import Path

import numpy as np

from edgedistill import data as data_sets
from edgedistill import recipe as recipes
from edgedistill import record as records
from edgedistill.bench.accuracy import to_int8
from edgedistill.bench.files import sha256_of
from edgedistill.ir import interpret, serial

FILES = ("student.onnx", "student.tflite", "golden.npz", "graph.npz", "labels.txt")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--recipe", type=Path, required=True)
    parser.add_argument("build", type=Path)
    parser.add_argument("model", type=Path)
    parser.add_argument("--also", nargs="*", default=[], help="files that are in the model's folder already")
    arguments = parser.parse_args()
    folder, model = arguments.build, arguments.model
    record = records.load(folder / "record.json")
    cache = folder.parent / ".cache"
    model.mkdir(parents=True, exist_ok=True)
    for name in FILES:
        shutil.copy(folder / name, model / name)
    weights = cache / "distill" / record.stage_hashes["distill"] / "student.safetensors"
    shutil.copy(weights, model / "student.safetensors")
    shutil.copy(arguments.recipe, model / "recipe.toml")
    built = recipes.load(folder / "recipe.toml")
    graph = serial.load(folder / "graph.npz")
    if built.data.synthetic:  # only its test images are real, and from elsewhere
        assert built.data.test is not None, "without real test images there is nothing to expect"
        _, h, w, c = graph.tensors[graph.inputs[0]].shape
        test, _, _ = data_sets.load_test(built.data.test, (h, w, c), cache=cache / "data")
    else:
        test = data_sets.load(built.data, seed=built.seed, cache=cache / "data").test
    x = to_int8(np.asarray(test.images_NHWC))
    outputs = np.asarray(interpret.run_batched(graph, {graph.inputs[0]: x})[graph.outputs[0]], np.int8)
    names = (*FILES, "student.safetensors", "recipe.toml", *arguments.also)
    expected = {
        "accuracy": json.loads(record.accuracy.model_dump_json()),
        "graph": json.loads(record.graph.model_dump_json()),
        "outputs": {
            "of": "all test images in their order, int8 [N, classes]",
            "shape": list(outputs.shape),
            "sha256": hashlib.sha256(outputs.tobytes()).hexdigest(),
        },
        "files": {
            name: {"sha256": sha256_of(model / name), "size_bytes": (model / name).stat().st_size}
            for name in names
        },
        "parity": [json.loads(row.model_dump_json()) for row in record.parity],
        "stage_seconds": record.stage_seconds,
        "machine": record.machine,
        "versions": record.versions,
    }
    (model / "expected.json").write_text(json.dumps(expected, indent=1) + "\n")


if __name__ == "__main__":
    main()
