/**
 * Runs an int8 student in the browser's WebAssembly: .onnx by onnxruntime-web, .tflite by LiteRT.js.
 *
 * LiteRT.js takes and gives float32 alone. Its file has QUANTIZE and DEQUANTIZE at its borders, and this
 * module the inverse: `real = scale * (q - zero_point)`, from which QUANTIZE restores q. So every student
 * takes and gives an Int8Array, values in the order of the model (N, H, W, C).
 */

/**
 * @typedef {{shape: number[], scale: number, zero_point: number}} Border of an input or output, batch 1
 * @typedef {{runtime: "onnxruntime-web"|"litert.js", threads: number, float: boolean, input: Border,
 *            output: Border}} Spec `float`: the model between the borders is float32, too
 * @typedef {{run(x: Int8Array): Promise<Int8Array>}} Student
 */

/** Loads the runtime from `base`, and the model from its bytes. More threads than one need isolation.
 *  @param {Spec} spec @param {ArrayBuffer} model @param {string} base @returns {Promise<Student>} */
export async function load(spec, model, base) {
  if (spec.threads > 1 && !globalThis.crossOriginIsolated) {
    throw new Error("threads need a page with the headers COOP and COEP");
  }
  return spec.runtime === "onnxruntime-web" ? onnx(spec, model, base) : tflite(spec, model, base);
}

/** @param {Spec} spec @param {ArrayBuffer} model @param {string} base */
async function onnx(spec, model, base) {
  const ort = await import(new URL("ort.wasm.min.mjs", base).href);
  ort.env.wasm.wasmPaths = base;
  ort.env.wasm.numThreads = spec.threads;
  ort.env.logLevel = "error";
  const session = await ort.InferenceSession.create(model, {
    executionProviders: ["wasm"],
    graphOptimizationLevel: "all",
    logSeverityLevel: 3,
  });
  const [input] = session.inputNames;
  const [output] = session.outputNames;
  return {
    async run(x) {
      const value = spec.float
        ? new ort.Tensor("float32", toReal(x, spec.input), spec.input.shape)
        : new ort.Tensor("int8", x, spec.input.shape);
      const answer = (await session.run({ [input]: value }))[output].data;
      return spec.float ? toInt8(answer, spec.output) : Int8Array.from(answer);
    },
  };
}

/** @param {Spec} spec @param {ArrayBuffer} model @param {string} base */
async function tflite(spec, model, base) {
  const litert = await import(new URL("litert.mjs", base).href);
  await litert.loadLiteRt(base, { threads: spec.threads > 1 });
  const compiled = await litert.loadAndCompile(new Uint8Array(model), {
    accelerator: "wasm",
    cpuOptions: { numThreads: spec.threads },
  });
  return {
    async run(x) {
      const value = new litert.Tensor(toReal(x, spec.input), spec.input.shape);
      const answers = await compiled.run(value);
      const answer = toInt8(await answers[0].data(), spec.output);
      value.delete();
      answers.forEach((tensor) => tensor.delete());
      return answer;
    },
  };
}

/** @param {Int8Array} x @param {Border} border */
export function toReal(x, border) {
  const scale = Math.fround(border.scale);
  return Float32Array.from(x, (q) => scale * (q - border.zero_point));
}

/** @param {ArrayLike<number>} values @param {Border} border */
export function toInt8(values, border) {
  const scale = Math.fround(border.scale);
  return Int8Array.from(values, (real) =>
    Math.max(-128, Math.min(127, Math.round(real / scale) + border.zero_point)),
  );
}
