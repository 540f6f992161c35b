/**
 * Answers the job that the page's server has: golden inputs, then times, then memory.
 *
 * The server sees the page die by the connection to `alive`, and hang by missing beats.
 */
import { load } from "./student.js";

const CLOCK_STEPS = 100; // a window of calls takes at least as many steps of the clock: 1 % of error
const BEAT_MS = 1000;

const memories = watchMemories();
let lastBeat = 0;

fetch("alive").then((answer) => answer.text()).finally(() => window.close());
try {
  const job = await (await fetch("job.json")).json();
  await send("answer", await measure(job));
} catch (error) {
  await send("answer", { error: String(error?.message ?? error) });
}

async function measure(job) {
  const model = await (await fetch("model")).arrayBuffer();
  const golden = new Int8Array(await (await fetch("inputs")).arrayBuffer());
  const student = await load(job, model, new URL("./", location.href).href);
  const loadedBytes = memoryBytes();
  const size = golden.length / job.count;
  const outputs = [];
  for (let i = 0; i < job.count; i++) {
    outputs.push(await student.run(golden.slice(i * size, (i + 1) * size)));
    await beat();
  }
  const first = golden.slice(0, size);
  return {
    outputs: base64(outputs),
    ...(job.runs > 0 ? await time(() => student.run(first), job.runs, job.warmup) : {}),
    loaded_bytes: loadedBytes,
    memory_bytes: memoryBytes(),
  };
}

/** Times of windows of so many calls that the clock's step does not count, in ms a call. */
async function time(call, runs, warmup) {
  const step = clockStep();
  let calls = 0;
  const start = performance.now();
  do {
    await call();
    calls++;
    await beat();
  } while (calls < warmup || performance.now() - start < step);
  const each = (performance.now() - start) / calls;
  const batch = Math.max(1, Math.ceil((CLOCK_STEPS * step) / each));
  const samples = [];
  for (let done = 0; done < runs; done += batch) {
    const from = performance.now();
    for (let i = 0; i < batch; i++) await call();
    samples.push((performance.now() - from) / batch);
    await beat();
  }
  return { samples_ms: samples, batch, clock_step_ms: step, warmup: calls };
}

/** The smallest step of performance.now(), which browsers make coarse. */
function clockStep() {
  let smallest = Infinity;
  for (let i = 0; i < 20; i++) {
    const from = performance.now();
    let now = from;
    while (now === from) now = performance.now();
    smallest = Math.min(smallest, now - from);
  }
  return smallest;
}

/** Notes every WebAssembly memory that is made from now on, by the page or by a module. */
function watchMemories() {
  const found = new Set();
  const Plain = WebAssembly.Memory;
  WebAssembly.Memory = class extends Plain {
    constructor(descriptor) {
      super(descriptor);
      found.add(this);
    }
  };
  for (const name of ["instantiate", "instantiateStreaming"]) {
    const plain = WebAssembly[name].bind(WebAssembly);
    WebAssembly[name] = async (...given) => {
      const made = await plain(...given);
      for (const value of Object.values((made.instance ?? made).exports)) {
        if (value instanceof Plain) found.add(value);
      }
      return made;
    };
  }
  return found;
}

/** Bytes of all linear memories, which never shrink. */
function memoryBytes() {
  let total = 0;
  for (const memory of memories) total += memory.buffer.byteLength;
  return total;
}

async function beat() {
  if (performance.now() - lastBeat < BEAT_MS) return;
  lastBeat = performance.now();
  await send("beat", {});
}

function send(where, value) {
  return fetch(where, { method: "POST", body: JSON.stringify(value) });
}

function base64(arrays) {
  let text = "";
  for (const array of arrays) for (const value of array) text += String.fromCharCode(value & 255);
  return btoa(text);
}
