// Playgrounds without a network: output size, a slope to walk down, the receptive field.
import { PLAYS, button, make, menu, row, slider } from "./parts.mjs";

const SVG = "http://www.w3.org/2000/svg";
export function drawing(name, width, height, parts) {
  const svg = document.createElementNS(SVG, "svg");
  for (const [key, value] of Object.entries({ viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": name, class: "drawing" })) svg.setAttribute(key, value);
  svg.innerHTML = parts.join("");
  return svg;
}

PLAYS.sizes = place => {
  const now = { n: 7, k: 3, p: 1, s: 2, at: 0 }, picture = make("div"), words = make("p", { role: "status" });
  const show = () => {
    const { n, k, p, s } = now, whole = n + 2 * p, out = Math.floor((whole - k) / s) + 1;
    if (out < 1) {
      picture.replaceChildren();
      words.textContent = `A kernel of ${k} does not fit into ${n} + 2 · ${p} = ${whole} values: there is no output.`;
      return;
    }
    const at = Math.min(now.at, out * out - 1), y = Math.floor(at / out), x = at % out, cell = 20, gap = 60, top = 26, parts = [];
    parts.push(`<text x="0" y="16">Input${p ? ", padding dashed" : ""}</text>`, `<text x="${Math.max(whole * cell + gap, 180)}" y="16">Output</text>`);
    for (let r = 0; r < whole; r++)
      for (let c = 0; c < whole; c++) {
        const pad = r < p || c < p || r >= n + p || c >= n + p, under = r >= y * s && r < y * s + k && c >= x * s && c < x * s + k;
        parts.push(`<rect x="${c * cell}" y="${top + r * cell}" width="18" height="18" class="${pad ? "edge" : "value"}${under ? " under" : ""}"/>`);
      }
    for (let i = 0; i < out * out; i++)
      parts.push(`<rect x="${Math.max(whole * cell + gap, 180) + (i % out) * cell}" y="${top + Math.floor(i / out) * cell}" width="18" height="18" class="value${i === at ? " under" : ""}"/>`);
    const width = Math.max(whole * cell + gap, 180) + out * cell, unseen = whole - k - (out - 1) * s;
    picture.replaceChildren(drawing(`${whole} by ${whole} values with padding give ${out} by ${out}`, Math.max(width, 420), top + whole * cell, parts));
    words.textContent = `⌊(${n} + 2 · ${p} − ${k}) / ${s}⌋ + 1 = ${out}: the output is ${out} × ${out}. `
      + (unseen ? `The last ${unseen} of the ${whole} rows and columns are under no window.` : "Every row and column is under a window.");
  };
  const part = name => value => { now[name] = value; show(); };
  place.append(row(slider("Input", [1, 12, 7], part("n")), slider("Kernel", [1, 7, 3], part("k")), slider("Padding", [0, 3, 1], part("p")), slider("Stride", [1, 4, 2], part("s"))),
    picture, words, row(button("Next window", () => { now.at++; const out = Math.floor((now.n + 2 * now.p - now.k) / now.s) + 1; if (now.at >= out * out) now.at = 0; show(); })));
  show();
};

PLAYS.slope = (place, say) => {
  const shown = value => value.toPrecision(3).replace("-", "−"), loss = w => w * w, slope = w => 2 * w, picture = make("div"), far = 4.2;
  let rate = 0.1, path = [-3.5];
  const x = w => 30 + ((w + far) / (2 * far)) * 440, y = value => 215 - (Math.min(value, 18) / 18) * 200;
  const show = () => {
    const w = path.at(-1), line = Array.from({ length: 85 }, (_, i) => { const v = -far + (i * 2 * far) / 84; return `${x(v).toFixed(1)},${y(loss(v)).toFixed(1)}`; });
    const seen = path.filter(v => Math.abs(v) <= far).slice(-40), points = seen.map(v => `${x(v)},${y(loss(v))}`);
    picture.replaceChildren(drawing(`The loss w squared; after ${path.length - 1} steps w is ${w.toFixed(2)}`, 500, 245, [
      `<polyline points="${line.join(" ")}" class="curve"/>`, `<polyline points="${points.join(" ")}" class="path"/>`,
      ...points.map((point, i) => `<circle cx="${point.split(",")[0]}" cy="${point.split(",")[1]}" r="${i === points.length - 1 ? 8 : 4}" class="ball"/>`),
      `<text x="250" y="240" text-anchor="middle">weight w, loss w²</text>`]));
    const step = path.length - 1, end = Math.abs(w) > far ? " It has left the picture: each step is longer than the one before." : "";
    say(`Step ${step}: w = ${shown(w)}, loss ${shown(loss(w))}, slope ${shown(slope(w))}; the next step is −${rate.toFixed(2)} times the slope, ${shown(-rate * slope(w))}.${end}`);
  };
  const walk = count => { for (let i = 0; i < count && Math.abs(path.at(-1)) < 1e6; i++) path.push(path.at(-1) - rate * slope(path.at(-1))); show(); };
  place.append(row(slider("Learning rate", [0.02, 1.1, 0.1, 0.02], value => { rate = value; show(); }, value => value.toFixed(2))), picture,
    row(button("One step", () => walk(1)), button("Ten steps", () => walk(10)), button("Begin again", () => { path = [-3.5]; show(); })));
  show();
};

const LAYERS = [["3 × 3", 3, 1], ["5 × 5", 5, 1], ["7 × 7", 7, 1], ["3 × 3, stride 2", 3, 2], ["pooling 2 × 2", 2, 2]];
PLAYS.field = (place, say) => {
  let stack = [0, 0];
  const picture = make("div");
  let chosen = 0;
  const show = () => {
    // From the top: one value needs k of the layer below, then s (r - 1) + k.
    const needed = [1];
    for (const i of [...stack].reverse()) needed.push(LAYERS[i][2] * (needed.at(-1) - 1) + LAYERS[i][1]);
    const widest = Math.max(15, ...needed), step = 460 / widest, parts = [];
    needed.forEach((count, level) => {
      const y = 20 + level * 42, left = 270 - (count * step) / 2;
      if (level) {
        const above = needed[level - 1], [name] = LAYERS[stack[stack.length - level]], half = (n, i) => 270 - (n * step) / 2 + i * step;
        parts.push(`<path class="cone" d="M${half(above, 0)} ${y - 32}L${half(count, 0)} ${y - 10}H${half(count, count)}L${half(above, above)} ${y - 32}z"/>`, `<text x="4" y="${y - 16}">${name}</text>`);
      }
      for (let i = 0; i < count; i++) parts.push(`<rect x="${left + i * step + 1}" y="${y - 9}" width="${Math.max(1, step - 2)}" height="18" class="value under"/>`);
    });
    const field = needed.at(-1), weights = stack.reduce((sum, i) => sum + (i === 4 ? 0 : LAYERS[i][1] ** 2), 0);
    picture.replaceChildren(drawing(`${stack.length} layers; one value at the top depends on a row of ${field} pixels`, 520, 30 + stack.length * 42, parts));
    say(`One value at the top depends on ${field} × ${field} pixels. Weights for each pair of channels: ${weights}; one kernel of ${field} × ${field} has ${field * field}.`);
  };
  place.append(row(menu("Layer", LAYERS.map(one => one[0]), i => { chosen = i; }), button("Add on top", () => {
    if (stack.length < 8) { stack.push(chosen); show(); } else say("Eight layers are enough for this picture: take one away first.");
  }), button("Take the top away", () => { if (stack.length) { stack.pop(); show(); } else say("Nothing is left to take away: the value is the pixel itself."); })), picture);
  show();
};
