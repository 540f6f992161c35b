"""Our int8 files beside those of library converters, same student, same images, one run, as JSON.

    python benchmarks/compare_converters.py --real-data DIR --venvs VENVS --work WORK --json FILE

Each converter runs in a virtual environment of its own under VENVS (made on first use, several GB).
It starts from the float ResNet-8 of models/cifar10-resnet8 and 500 training images, with its documented
options for full int8. Every file then runs here in the same runtimes:

- full int8: int8 in and out, and no operator of the file computes in float32;
- parity: one file, two settings of its runtime (LiteRT with XNNPACK and with reference kernels, ONNX
  Runtime with all graph optimisations and with none), share of equal output values on the test images;
- accuracy, size, seconds of conversion, median latency (one thread, batch 1, all files in turns).

Ours is quantised by distillation, theirs after training: accuracies say what a user gets, not which
rounding is better.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import provenance
from numpy.typing import NDArray

from edgedistill import data as data_sets
from edgedistill.bench.accuracy import to_real
from edgedistill.bench.latency import interleaved
from edgedistill.recipe import DataSection
from edgedistill.runners import Runner
from edgedistill.runners.litert import LiteRt
from edgedistill.runners.ort import Ort

HERE = Path(__file__).resolve().parent / "converters"
MODELS = HERE.parents[1] / "models" / "cifar10-resnet8"
CALIBRATION = 500
LIMIT_S = 1200


@dataclass(frozen=True)
class Converter:
    """A row: script of converters/, its packages, what it starts from, the file it makes, more arguments."""

    script: str
    venv: str
    packages: tuple[str, ...]
    suffix: str
    reads_onnx: bool = False
    more: tuple[str, ...] = ()


_TORCH = ("torch>=2.13,<2.14", "litert-torch", "ai-edge-quantizer", "safetensors", "onnx", "onnxscript")
_ORT = ("onnxruntime", "onnx", "sympy", "safetensors")
CONVERTERS = {
    "litert-torch, PT2E": Converter("litert_torch_pt2e.py", "litert-torch", _TORCH, ".tflite"),
    "litert-torch, ai-edge-quantizer": Converter("litert_torch_static.py", "litert-torch", _TORCH, ".tflite"),
    "onnx2tf": Converter("onnx2tf_full.py", "onnx2tf", ("onnx2tf", "tensorflow-cpu"), ".tflite", True),
    "onnxruntime.quantization, QDQ": Converter("ort_static.py", "ort", _ORT, ".onnx", True, ("QDQ",)),
    "onnxruntime.quantization, QOperator": Converter(
        "ort_static.py", "ort", _ORT, ".onnx", True, ("QOperator",)
    ),
}


def python_of(venvs: Path, row: Converter) -> Path:
    """The interpreter of a converter's environment, made on first use."""
    folder = venvs / row.venv
    python = folder / "bin" / "python"
    done = folder / "installed"
    if not done.exists():
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        subprocess.run([str(python), "-m", "pip", "install", "-q", *row.packages], check=True)
        done.touch()
    return python


def installed(python: Path, row: Converter) -> dict[str, str]:
    """Versions of the packages that a converter named."""
    listed = subprocess.run(
        [str(python), "-m", "pip", "list", "--format=json"], capture_output=True, text=True, check=True
    )
    found = {p["name"].lower().replace("_", "-"): p["version"] for p in json.loads(listed.stdout)}
    names = [package.split(">")[0].lower() for package in row.packages]
    return {name: found[name] for name in names if name in found}


def float_operators(path: Path) -> list[str]:
    """Operators of a file whose activations are float32, but for those that only quantise or dequantise."""
    if path.suffix == ".tflite":
        return _float_operators_tflite(path.read_bytes())
    import onnxruntime

    with tempfile.TemporaryDirectory() as folder:  # what ONNX Runtime makes of it counts
        options = onnxruntime.SessionOptions()
        options.optimized_model_filepath = str(Path(folder) / "optimised.onnx")
        options.log_severity_level = 4
        onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        import onnx

        model = onnx.load(options.optimized_model_filepath)
    integer = ("QLinear", "QGemm", "Quantize", "Dequantize")
    moves = ("Transpose", "Reshape", "Flatten", "Squeeze", "Slice", "Identity")  # compute nothing
    return [node.op_type for node in model.graph.node if not node.op_type.startswith(integer + moves)]


def _float_operators_tflite(content: bytes) -> list[str]:
    from ai_edge_litert import schema_py_generated as schema

    model = schema.ModelT.InitFromPackedBuf(content, 0)
    graph = model.subgraphs[0]
    names = {v: k for k, v in vars(schema.BuiltinOperator).items() if isinstance(v, int)}
    found = []
    for op in graph.operators:
        code = model.operatorCodes[op.opcodeIndex]
        name = names[max(code.builtinCode, code.deprecatedBuiltinCode)]
        tensors = [graph.tensors[i] for i in (*op.inputs, *op.outputs) if i >= 0]
        if name not in ("QUANTIZE", "DEQUANTIZE") and any(
            t.type == schema.TensorType.FLOAT32 for t in tensors
        ):
            found.append(name)
    return found


def adapted(path: Path, images: NDArray[np.uint8]) -> tuple[NDArray[Any], str]:
    """Test images in the layout and type that a file takes, and that type."""
    real = to_real(images)
    if path.suffix == ".tflite":
        from ai_edge_litert.interpreter import Interpreter

        detail = Interpreter(model_path=str(path)).get_input_details()[0]
        shape, dtype = tuple(detail["shape"]), np.dtype(detail["dtype"]).name
        scale, zero_point = detail["quantization"]
    else:
        import onnxruntime

        spec = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"]).get_inputs()[0]
        shape, dtype = tuple(spec.shape), "int8" if spec.type == "tensor(int8)" else "float32"
        scale, zero_point = 1 / 64, 0
    if shape[1] == 3:
        real = np.ascontiguousarray(real.transpose(0, 3, 1, 2))
    if dtype == "int8":
        return np.clip(np.rint(real / scale) + zero_point, -128, 127).astype(np.int8), dtype
    return real, dtype


def answers(runner: Runner, x: NDArray[Any]) -> NDArray[Any]:
    """Outputs for all inputs; files that take one at a time get one at a time."""
    try:
        return np.concatenate([runner.run(x[i : i + 250]) for i in range(0, len(x), 250)])
    except Exception:  # a fixed batch of 1: each runtime says so in its own way
        return np.concatenate([runner.run(x[i : i + 1]) for i in range(len(x))])


def settings(path: Path) -> tuple[tuple[str, Callable[[], Runner]], tuple[str, Callable[[], Runner]]]:
    """Two settings of the runtime that takes this file: the usual one, and another that ought to agree."""
    if path.suffix == ".tflite":
        return ("XNNPACK", lambda: LiteRt(path)), ("reference kernels", lambda: LiteRt(path, reference=True))
    return (
        ("all optimisations", lambda: Ort(path)),
        ("no optimisation", lambda: Ort(path, level="disabled")),
    )


def examine(path: Path, images: NDArray[np.uint8], labels: NDArray[np.int64]) -> dict[str, Any]:
    """Everything but latency about one file."""
    x, dtype = adapted(path, images)
    (usual, make), (other, make_other) = settings(path)
    a, b = answers(make(), x), answers(make_other(), x)
    rows = a.reshape(len(a), -1), b.reshape(len(b), -1)
    floats = float_operators(path)
    return {
        "bytes": path.stat().st_size,
        "input": dtype,
        "output": a.dtype.name,
        "float_operators": floats,
        "full_int8": dtype == "int8" and a.dtype == np.int8 and not floats,
        "accuracy": float((rows[0].argmax(1) == labels).mean()),
        "parity": {
            "settings": [usual, other],
            "values": int(a.size),
            "identical": int((a == b).sum()),
            "top1_flips": int((rows[0].argmax(1) != rows[1].argmax(1)).sum()),
        },
    }


def convert(row: Converter, python: Path, inputs: Sequence[Path], out: Path) -> tuple[float, float, str]:
    """Seconds of the conversion and of its whole process, and why it failed (empty: it did not)."""
    command = [str(python), str(HERE / row.script), *map(str, inputs), str(out), *row.more]
    started = time.perf_counter()
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_S, cwd=HERE)
    except subprocess.TimeoutExpired:
        return 0.0, LIMIT_S, f"not done after {LIMIT_S} s"
    total = time.perf_counter() - started
    if done.returncode or not out.exists():
        return 0.0, total, (done.stderr or done.stdout).strip()[-500:]
    return float(json.loads(done.stdout.strip().splitlines()[-1])["seconds"]), total, ""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--real-data", type=Path, required=True)
    parser.add_argument("--venvs", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--json", type=Path, required=True)
    parser.add_argument("--only", action="append", choices=sorted(CONVERTERS))
    parser.add_argument("--runs", type=int, default=200)
    arguments = parser.parse_args()
    venvs, work = arguments.venvs.resolve(), arguments.work.resolve()
    work.mkdir(parents=True, exist_ok=True)
    section = DataSection(source=str(arguments.real_data / "cifar10"), validation_share=0.01)
    data = data_sets.load(section, seed=0, cache=work / "data")
    picked = np.sort(np.random.default_rng(0).permutation(len(data.train))[:CALIBRATION])
    images = to_real(np.asarray(data.train.images_NHWC[picked])).transpose(0, 3, 1, 2)
    np.save(work / "calibration.npy", images)
    test = np.asarray(data.test.images_NHWC), data.test.labels
    exporter = CONVERTERS["litert-torch, PT2E"]
    onnx_file = work / "float.onnx"
    if not onnx_file.exists():
        python = python_of(venvs, exporter)
        subprocess.run([str(python), "float_onnx.py", str(onnx_file)], check=True, cwd=HERE)
    files = {"edgedistill, TFLite": MODELS / "student.tflite", "edgedistill, ONNX": MODELS / "student.onnx"}
    results: dict[str, dict[str, Any]] = {name: {"how": "measured"} for name in files}
    for name, row in CONVERTERS.items():
        if arguments.only and name not in arguments.only:
            continue
        python = python_of(venvs, row)
        out = work / f"{name.replace(', ', '-').replace(' ', '-')}{row.suffix}"
        out.unlink(missing_ok=True)
        inputs = [work / "calibration.npy", *([onnx_file] if row.reads_onnx else [])]
        seconds, total, error = convert(row, python, inputs, out)
        results[name] = {
            "how": "not run" if error else "measured",
            "versions": installed(python, row),
            **({"error": error} if error else {"convert_s": seconds, "process_s": total}),
        }
        print(json.dumps({name: results[name]}), flush=True)
        if not error:
            files[name] = out
    for name, path in files.items():
        results[name].update(examine(path, *test))
        print(json.dumps({name: results[name]}), flush=True)
    models = {name: (settings(path)[0][1](), adapted(path, test[0][:1])[0]) for name, path in files.items()}
    for name, times in interleaved(models, runs=arguments.runs, warmup=20).items():
        p50, p90 = np.percentile(times, (50, 90))
        results[name]["latency_ms"] = {
            "p50": float(p50),
            "p90": float(p90),
            "count": len(times),
            "threads": 1,
        }
    folders = {"VENVS": venvs, "WORK": work, "benchmarks/converters": HERE, "DIR": arguments.real_data}
    provenance.write(arguments.json, {"results": results}, folders)


if __name__ == "__main__":
    main()
