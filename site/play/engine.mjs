// Networks of the course in plain JavaScript: forward passes, and the gradient that Grad-CAM needs.
//
// A tensor is {data: Float32Array, shape}, as torch lays it out: (N, C, H, W) or (N, C).
// A network is what tools/export.py writes: a plan, one step a layer, and its weights.

const FORMAT = 1;

export function tensor(shape, data) {
  const size = shape.reduce((a, b) => a * b, 1);
  if (data && data.length !== size) throw new Error(`${data.length} numbers do not fill ${shape.join(" x ")}.`);
  return { shape, data: data || new Float32Array(size) };
}

// ------------------------------------------------------------------ reading a network

// Float16 numbers, little-endian, as float32.
export function fromHalf(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength), out = new Float32Array(bytes.byteLength >> 1);
  for (let i = 0; i < out.length; i++) {
    const half = view.getUint16(2 * i, true), exponent = (half >> 10) & 31, fraction = half & 1023;
    const size = exponent ? (exponent === 31 ? (fraction ? NaN : Infinity) : 2 ** (exponent - 15) * (1 + fraction / 1024)) : fraction * 2 ** -24;
    out[i] = half & 0x8000 ? -size : size;
  }
  return out;
}

function fromSingle(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return Float32Array.from({ length: bytes.byteLength >> 2 }, (_, i) => view.getFloat32(4 * i, true));
}

export function fromBase64(text) {
  return Uint8Array.from(atob(text), letter => letter.charCodeAt(0));
}

// A network that is ready to run; the plan is checked against the bytes of its weights.
export function network(plan, bytes) {
  if (plan?.format !== FORMAT || !Array.isArray(plan.steps)) throw new Error(`This network has format ${plan?.format}, the page reads ${FORMAT}. Export it again.`);
  const numbers = plan.precision === "float32" ? fromSingle(bytes) : fromHalf(bytes);
  if (numbers.length !== plan.numbers) throw new Error(`The weights hold ${numbers.length} numbers, the plan asks for ${plan.numbers}. Export both again.`);
  const steps = plan.steps.map((step, i) => {
    if (!(step.op in FORWARD)) throw new Error(`The page has no layer ${step.op}.`);
    if (step.from.some(j => j >= i)) throw new Error(`Step ${i} of the plan reads one that comes later.`);
    const weights = {};
    for (const [name, [start, shape]] of Object.entries(step.weights || {})) {
      const size = shape.reduce((a, b) => a * b, 1);
      if (start + size > numbers.length) throw new Error(`The weights end before ${step.name}.`);
      weights[name] = numbers.subarray(start, start + size);
    }
    return { ...step, ...weights };
  });
  const names = new Map(steps.map((step, i) => [step.name, i]));
  return { ...plan, steps, at: name => names.get(name) };
}

// ------------------------------------------------------------------ forward

// Run a batch of images through a network.
//
// `train`: batch norm takes the statistics of this batch. `keep`: name of a step that joins two
// (add, cat) -> which of its inputs stay, as [0]; an added input that does not stay counts as 0.
// `masks`: name of a step -> a factor for each channel of what it gives, as dropout draws them.
// Returns what each step gave, and the last of it, the logits.
export function run(net, images, { train = false, keep = {}, masks = {} } = {}) {
  const values = [];
  for (const step of net.steps) {
    const inputs = step.op === "input" ? [images] : step.from.map(i => values[i]);
    values.push(masked(FORWARD[step.op](step, inputs, { train, kept: keep[step.name] }), masks[step.name]));
  }
  return { values, logits: values.at(-1), changed: train || Object.keys(masks).length > 0, keep };
}

function masked({ data, shape }, mask) {
  const area = shape.slice(2).reduce((a, b) => a * b, 1);
  return tensor(shape, mask ? data.map((value, i) => value * mask[Math.floor(i / area) % mask.length]) : data);
}

// Zeros around each map; `slack` more numbers at the end, which a shifted view may read.
function padded({ data, shape: [, channels, height, width] }, image, padding, slack, fill = 0) {
  const w = width + 2 * padding, size = (height + 2 * padding) * w, out = new Float32Array(channels * size + slack);
  if (fill) out.fill(fill);
  for (let c = 0; c < channels; c++)
    for (let y = 0; y < height; y++) {
      const from = ((image * channels + c) * height + y) * width;
      out.set(data.subarray(from, from + width), c * size + (y + padding) * w + padding);
    }
  return out;
}

const windows = (size, kernel, stride, padding, ceil) => {
  let count = (ceil ? Math.ceil : Math.floor)((size + 2 * padding - kernel) / stride) + 1;
  if (ceil && (count - 1) * stride >= size + padding) count--;  // torch: no window begins beyond the map
  return count;
};

// Each weight meets the whole map, shifted: out[i] += w * map[i + shift]. Eight weights of two
// output channels at a time, since reading and writing `out` costs as much as the products.
function conv(step, [x]) {
  const [count, channels, height, width] = x.shape, { kernel: k, stride, padding, out: outputs } = step;
  const w = width + 2 * padding, plane = (height + 2 * padding) * w, taps = channels * k * k;
  const rows = height + 2 * padding - k + 1, length = (rows - 1) * w + width + 2 * padding - k + 1;
  const h2 = windows(height, k, stride, padding), w2 = windows(width, k, stride, padding);
  const shifts = new Int32Array(8 * Math.ceil(taps / 8));
  for (let t = 0; t < taps; t++) shifts[t] = Math.floor(t / (k * k)) * plane + (Math.floor(t / k) % k) * w + (t % k);
  const result = tensor([count, outputs, h2, w2]), first = new Float32Array(length), second = new Float32Array(length);
  const weight = (o, t) => (o < outputs && t < taps ? step.weight[o * taps + t] : 0);
  for (let n = 0; n < count; n++) {
    const map = padded(x, n, padding, 0);
    for (let o = 0; o < outputs; o += 2) {
      first.fill(step.bias ? step.bias[o] : 0);
      second.fill(step.bias && o + 1 < outputs ? step.bias[o + 1] : 0);
      for (let t = 0; t < taps; t += 8) addEight(map, shifts, t, weight, o, first, second);
      for (const [i, sums] of [first, second].entries())
        for (let y = 0, to = ((n * outputs + o + i) * h2) * w2; o + i < outputs && y < h2; y++)
          for (let column = 0; column < w2; column++) result.data[to++] = sums[y * stride * w + column * stride];
    }
  }
  return result;
}

function addEight(map, shifts, t, weight, o, first, second) {
  const s0 = shifts[t], s1 = shifts[t + 1], s2 = shifts[t + 2], s3 = shifts[t + 3], s4 = shifts[t + 4], s5 = shifts[t + 5];
  const s6 = shifts[t + 6], s7 = shifts[t + 7], p = o + 1, length = first.length;
  const a0 = weight(o, t), a1 = weight(o, t + 1), a2 = weight(o, t + 2), a3 = weight(o, t + 3);
  const a4 = weight(o, t + 4), a5 = weight(o, t + 5), a6 = weight(o, t + 6), a7 = weight(o, t + 7);
  const b0 = weight(p, t), b1 = weight(p, t + 1), b2 = weight(p, t + 2), b3 = weight(p, t + 3);
  const b4 = weight(p, t + 4), b5 = weight(p, t + 5), b6 = weight(p, t + 6), b7 = weight(p, t + 7);
  for (let i = 0; i < length; i++) {
    const x0 = map[s0 + i], x1 = map[s1 + i], x2 = map[s2 + i], x3 = map[s3 + i];
    const x4 = map[s4 + i], x5 = map[s5 + i], x6 = map[s6 + i], x7 = map[s7 + i];
    first[i] += a0 * x0 + a1 * x1 + a2 * x2 + a3 * x3 + a4 * x4 + a5 * x5 + a6 * x6 + a7 * x7;
    second[i] += b0 * x0 + b1 * x1 + b2 * x2 + b3 * x3 + b4 * x4 + b5 * x5 + b6 * x6 + b7 * x7;
  }
}

function linear(step, [x]) {
  const [count, features] = x.shape, out = tensor([count, step.out]);
  for (let n = 0; n < count; n++)
    for (let o = 0; o < step.out; o++) {
      let sum = step.bias ? step.bias[o] : 0;
      for (let i = 0; i < features; i++) sum += step.weight[o * features + i] * x.data[n * features + i];
      out.data[n * step.out + o] = sum;
    }
  return out;
}

// Mean and biased variance of each channel over the batch, as batch norm takes them in training.
export function statistics({ data, shape: [count, channels, ...sides] }) {
  const area = sides.reduce((a, b) => a * b, 1), mean = new Float64Array(channels), variance = new Float64Array(channels);
  const each = visit => {
    for (let n = 0; n < count; n++)
      for (let c = 0; c < channels; c++)
        for (let i = (n * channels + c) * area, end = i + area; i < end; i++) visit(c, data[i]);
  };
  each((c, value) => { mean[c] += value / (count * area); });
  each((c, value) => { variance[c] += (value - mean[c]) ** 2 / (count * area); });
  return { mean, variance };
}

function norm(step, [x], { train }) {
  const [count, channels, ...sides] = x.shape, area = sides.reduce((a, b) => a * b, 1), out = tensor(x.shape);
  const { mean, variance } = train ? statistics(x) : { mean: step.mean, variance: step.variance };
  for (let n = 0; n < count; n++)
    for (let c = 0; c < channels; c++) {
      const scale = step.weight[c] / Math.sqrt(variance[c] + step.eps), shift = step.bias[c] - mean[c] * scale;
      for (let i = (n * channels + c) * area, end = i + area; i < end; i++) out.data[i] = x.data[i] * scale + shift;
    }
  return out;
}

// Largest or mean value of each window; the visitor of `eachWindow` gets the window's bounds.
function pool(step, [x]) {
  const [count, channels, height, width] = x.shape, [h2, w2] = pooledSides(step, height, width);
  const out = tensor([count, channels, h2, w2]), mean = step.op !== "max_pool";
  eachWindow(step, x.shape, (map, to, top, bottom, left, right) => {
    let value = mean ? 0 : -Infinity;
    for (let y = top; y < bottom; y++)
      for (let i = map + y * width + left, end = map + y * width + right; i < end; i++) value = mean ? value + x.data[i] : Math.max(value, x.data[i]);
    out.data[to] = mean ? value / ((bottom - top) * (right - left)) : value;
  });
  return out;
}

function pooledSides({ op, size, kernel, stride, padding, ceil }, height, width) {
  if (op === "adaptive_pool") return [size, size];
  return [height, width].map(side => windows(side, kernel, stride, padding, ceil));
}

function eachWindow(step, [count, channels, height, width], visit) {
  const [h2, w2] = pooledSides(step, height, width);
  const bounds = (i, side, many) => step.op === "adaptive_pool"
    ? [Math.floor((i * side) / many), Math.ceil(((i + 1) * side) / many)]
    : [Math.max(0, i * step.stride - step.padding), Math.min(side, i * step.stride - step.padding + step.kernel)];
  for (let m = 0, to = 0; m < count * channels; m++)
    for (let y = 0; y < h2; y++)
      for (let column = 0; column < w2; column++)
        visit(m * height * width, to++, ...bounds(y, height, h2), ...bounds(column, width, w2));
}

const each = change => (step, [x]) => tensor(x.shape, x.data.map(change));

function add(step, inputs, { kept }) {
  const used = kept ? kept.map(i => inputs[i]) : inputs, out = tensor(inputs[0].shape);
  for (const { data } of used) for (let i = 0; i < data.length; i++) out.data[i] += data[i];
  return out;
}

function concatenate(step, inputs, { kept }) {
  const [count, , ...sides] = inputs[0].shape, area = sides.reduce((a, b) => a * b, 1);
  const channels = inputs.reduce((sum, one) => sum + one.shape[1], 0), out = tensor([count, channels, ...sides]);
  for (let n = 0, to = 0; n < count; n++)
    inputs.forEach(({ data, shape }, i) => {
      const size = shape[1] * area;
      if (!kept || kept.includes(i)) out.data.set(data.subarray(n * size, (n + 1) * size), to);
      to += size;
    });
  return out;
}

// ResNet's shortcut without weights: every second value, and channels of zeros.
function thinned(step, [x]) {
  const [count, channels, height, width] = x.shape, s = step.stride;
  const out = tensor([count, channels + step.extra, Math.ceil(height / s), Math.ceil(width / s)]), [, total, h2, w2] = out.shape;
  for (let n = 0; n < count; n++)
    for (let c = 0; c < channels; c++)
      for (let y = 0; y < h2; y++)
        for (let column = 0; column < w2; column++)
          out.data[((n * total + c) * h2 + y) * w2 + column] = x.data[((n * channels + c) * height + y * s) * width + column * s];
  return out;
}

const FORWARD = {
  input: (step, [x]) => x,
  conv, linear, norm, add, cat: concatenate, thin: thinned,
  max_pool: pool, mean_pool: pool, adaptive_pool: pool,
  relu: each(value => Math.max(value, 0)),
  tanh: each(Math.tanh),
  flatten: (step, [x]) => tensor([x.shape[0], x.data.length / x.shape[0]], x.data),
};

// Logits (N, classes) -> probabilities.
export function softmax({ data, shape: [count, classes] }) {
  const out = tensor([count, classes]);
  for (let n = 0; n < count; n++) {
    const row = data.subarray(n * classes, (n + 1) * classes), largest = Math.max(...row);
    const powers = Array.from(row, value => Math.exp(value - largest)), sum = powers.reduce((a, b) => a + b);
    powers.forEach((power, i) => { out.data[n * classes + i] = power / sum; });
  }
  return out;
}

// ------------------------------------------------------------------ backward

// Gradient of one class's logit, for each image, at what step number `at` gave.
export function gradient(net, result, label, at) {
  if (result.changed) throw new Error("The gradient is that of a whole network in evaluation mode.");
  const { steps } = net, { values, logits } = result, gradients = new Array(steps.length);
  gradients[steps.length - 1] = tensor(logits.shape);
  for (let n = 0; n < logits.shape[0]; n++) gradients.at(-1).data[n * logits.shape[1] + label] = 1;
  for (let i = steps.length - 1; i > at; i--) {
    if (!gradients[i]) continue;  // the logits do not depend on it
    const step = steps[i], inputs = step.from.map(j => values[j]);
    const back = BACKWARD[step.op](step, inputs, gradients[i], values[i], result.keep[step.name]);
    back.forEach((part, k) => {
      if (!part) return;
      const j = step.from[k];
      gradients[j] = gradients[j] ? add(step, [gradients[j], part], {}) : part;
    });
    gradients[i] = undefined;
  }
  return gradients[at] || tensor(values[at].shape);
}

function convBack(step, [x], g) {
  const [count, channels, height, width] = x.shape, { kernel: k, stride, padding, out: outputs } = step;
  const [, , h2, w2] = g.shape, back = tensor(x.shape);
  for (let n = 0; n < count; n++)
    for (let o = 0; o < outputs; o++)
      for (let c = 0; c < channels; c++)
        for (let t = 0; t < k * k; t++) {
          const weight = step.weight[(o * channels + c) * k * k + t], dy = Math.floor(t / k) - padding, dx = (t % k) - padding;
          for (let y = 0; y < h2; y++) {
            const row = y * stride + dy;
            if (row < 0 || row >= height) continue;
            const from = ((n * outputs + o) * h2 + y) * w2, to = ((n * channels + c) * height + row) * width;
            for (let column = 0; column < w2; column++) {
              const place = column * stride + dx;
              if (place >= 0 && place < width) back.data[to + place] += weight * g.data[from + column];
            }
          }
        }
  return [back];
}

function linearBack(step, [x], g) {
  const [count, features] = x.shape, back = tensor(x.shape);
  for (let n = 0; n < count; n++)
    for (let o = 0; o < step.out; o++) {
      const value = g.data[n * step.out + o];
      for (let i = 0; value && i < features; i++) back.data[n * features + i] += value * step.weight[o * features + i];
    }
  return [back];
}

function normBack(step, [x], g) {
  const [, channels, ...sides] = x.shape, area = sides.reduce((a, b) => a * b, 1);
  const scale = c => step.weight[c] / Math.sqrt(step.variance[c] + step.eps);
  return [tensor(x.shape, g.data.map((value, i) => value * scale(Math.floor(i / area) % channels)))];
}

function poolBack(step, [x], g) {
  const back = tensor(x.shape), width = x.shape[3], mean = step.op !== "max_pool";
  eachWindow(step, x.shape, (map, from, top, bottom, left, right) => {
    let best = map + top * width + left;
    for (let y = top; y < bottom; y++)
      for (let i = map + y * width + left, end = map + y * width + right; i < end; i++)
        if (mean) back.data[i] += g.data[from] / ((bottom - top) * (right - left));
        else if (x.data[i] > x.data[best]) best = i;
    if (!mean) back.data[best] += g.data[from];
  });
  return [back];
}

function concatenateBack(step, inputs, g, value, kept) {
  const [count, channels, ...sides] = g.shape, area = sides.reduce((a, b) => a * b, 1);
  let before = 0;
  return inputs.map(({ shape }, i) => {
    const back = tensor(shape), size = shape[1] * area, start = before;
    before += size;
    if (kept && !kept.includes(i)) return null;
    for (let n = 0; n < count; n++) back.data.set(g.data.subarray(n * channels * area + start, n * channels * area + start + size), n * size);
    return back;
  });
}

function thinnedBack(step, [x], g) {
  const [count, channels, height, width] = x.shape, [, total, h2, w2] = g.shape, back = tensor(x.shape), s = step.stride;
  for (let n = 0; n < count; n++)
    for (let c = 0; c < channels; c++)
      for (let y = 0; y < h2; y++)
        for (let column = 0; column < w2; column++)
          back.data[((n * channels + c) * height + y * s) * width + column * s] = g.data[((n * total + c) * h2 + y) * w2 + column];
  return [back];
}

const BACKWARD = {
  conv: convBack, linear: linearBack, norm: normBack, cat: concatenateBack, thin: thinnedBack,
  max_pool: poolBack, mean_pool: poolBack, adaptive_pool: poolBack,
  add: (step, inputs, g, value, kept) => inputs.map((_, i) => (!kept || kept.includes(i) ? g : null)),
  relu: (step, [x], g) => [tensor(x.shape, g.data.map((value, i) => (x.data[i] > 0 ? value : 0)))],
  tanh: (step, [x], g, y) => [tensor(x.shape, g.data.map((value, i) => value * (1 - y.data[i] ** 2)))],
  flatten: (step, [x], g) => [tensor(x.shape, g.data)],
};

// Grad-CAM (Selvaraju et al. 2017): ReLU of the maps of step `at`, each weighted by the mean of its gradient.
export function gradCam(net, result, label, at, image = 0) {
  const { data, shape: [, channels, height, width] } = result.values[at], g = gradient(net, result, label, at).data;
  const area = height * width, map = new Float32Array(area);
  for (let c = 0; c < channels; c++) {
    const start = (image * channels + c) * area;
    let weight = 0;
    for (let i = 0; i < area; i++) weight += g[start + i] / area;
    for (let i = 0; i < area; i++) map[i] += weight * data[start + i];
  }
  return { data: map.map(value => Math.max(value, 0)), height, width };
}
