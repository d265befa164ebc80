// Playgrounds of what a network is shown, and of its first kernels.
import { run, tensor } from "./engine.mjs";
import { PLAYS, answer, button, canvas, make, maps, menu, moved, normalised, paint, photo, row, samples, slider, trained, where } from "./parts.mjs";
import { best, chooser, percent } from "./photos.mjs";

const PIXELS = 32, AREA = PIXELS * PIXELS;

// What changes a photo at a strength of 0 to 10, as the lecture's cells do; `u` are draws between -1 and 1.
const CHANGES = {
  "shifted": (pixels, strength, u) => resampled(pixels, (x, y) => [x + Math.round(2 * strength * u[0]), y + Math.round(2 * strength * u[1])]),
  "turned": (pixels, strength, u) => {
    const angle = (18 * strength * u[0] * Math.PI) / 180, [c, s] = [Math.cos(angle), Math.sin(angle)], half = (PIXELS - 1) / 2;
    return resampled(pixels, (x, y) => [c * (x - half) - s * (y - half) + half, s * (x - half) + c * (y - half) + half]);
  },
  "enlarged": (pixels, strength, u) => {
    const part = 1 - 0.08 * strength * Math.abs(u[0]), half = (PIXELS - 1) / 2, free = half * (1 - part);
    return resampled(pixels, (x, y) => [part * (x - half) + half + free * u[1], part * (y - half) + half + free * u[2]]);
  },
  "other colours": (pixels, strength, u) => {
    const [light, contrast, colour] = [0, 1, 2].map(i => 1 + (strength / 10) * u[i]), mean = light * pixels.data.reduce((a, b) => a + b) / pixels.data.length;
    const out = tensor(pixels.shape);
    for (let k = 0; k < AREA; k++) {
      const rgb = [0, 1, 2].map(c => mean + contrast * (light * pixels.data[c * AREA + k] - mean)), grey = (rgb[0] + rgb[1] + rgb[2]) / 3;
      rgb.forEach((value, c) => { out.data[c * AREA + k] = Math.max(0, Math.min(255, grey + colour * (value - grey))); });
    }
    return out;
  },
  "a part covered": (pixels, strength, u) => {
    const out = tensor(pixels.shape, pixels.data.slice()), [x0, y0] = [0, 1].map(i => Math.round(15.5 + 15.5 * u[i] - 1.5 * strength));
    for (let c = 0; c < 3; c++)
      for (let y = Math.max(0, y0); y < Math.min(PIXELS, y0 + 3 * strength); y++)
        for (let x = Math.max(0, x0); x < Math.min(PIXELS, x0 + 3 * strength); x++) out.data[c * AREA + y * PIXELS + x] = 0;
    return out;
  },
};

// Each pixel from the place that `from` names, between the four nearest; black outside.
function resampled(pixels, from) {
  const out = tensor(pixels.shape);
  for (let y = 0; y < PIXELS; y++)
    for (let x = 0; x < PIXELS; x++) {
      const [fx, fy] = from(x, y), x0 = Math.floor(fx), y0 = Math.floor(fy);
      for (const [px, py, share] of [[x0, y0, (1 - fx + x0) * (1 - fy + y0)], [x0 + 1, y0, (fx - x0) * (1 - fy + y0)], [x0, y0 + 1, (1 - fx + x0) * (fy - y0)], [x0 + 1, y0 + 1, (fx - x0) * (fy - y0)]])
        if (share > 0 && px >= 0 && py >= 0 && px < PIXELS && py < PIXELS) for (let c = 0; c < 3; c++) out.data[c * AREA + y * PIXELS + x] += share * pixels.data[c * AREA + py * PIXELS + px];
    }
  return out;
}

PLAYS.augment = (place, say) => {
  const COUNT = 6, names = Object.keys(CHANGES), views = Array.from({ length: COUNT }, (_, i) => canvas(`View ${i + 1}`, "photo")), words = views.map(() => make("figcaption"));
  let net, pixels, change = 1, strength = 2, draws, timer;
  const drawAgain = () => { draws = views.map(() => Array.from({ length: 3 }, () => 2 * Math.random() - 1)); };
  const show = () => {
    if (!net || !pixels) return;
    const changed = draws.map(u => CHANGES[names[change]](pixels, strength, u));
    changed.forEach((one, i) => { photo(views[i], one); });
    clearTimeout(timer);
    timer = setTimeout(() => {  // the slider moves on while nothing is computed
      const whole = answer(run(net, normalised(pixels, net)).logits), was = best(whole);
      const same = changed.filter((one, i) => {
        const values = answer(run(net, normalised(one, net)).logits), is = best(values);
        words[i].textContent = `${net.classes[is]}, ${percent(values[is])}`;
        words[i].className = is === was ? "" : "other";
        return is === was;
      }).length;
      say(`The photo as it is: ${net.classes[was]}, ${percent(whole[was])}. Of ${COUNT} views, ${same} get the same answer.`);
    }, 120);
  };
  const { element, ready } = chooser(say, chosen => { pixels = chosen; show(); });
  drawAgain();
  const tools = make("div", { class: "tools" }, menu("The views are", names, i => { change = i; show(); }, change), slider("Strength", [0, 10, strength], value => { strength = value; show(); }), button("Draw again", () => { drawAgain(); show(); }));
  place.append(row(element, tools, make("div", { class: "views" }, ...views.map((view, i) => make("figure", {}, view, words[i])))));
  return async () => {
    let images;
    [net, images] = await Promise.all([trained("resnet20-cifar10"), samples("cifar10")]);
    ready(net.classes, images);
  };
};

// The weights of one kernel as a colour picture: grey is 0.
export function colours(canvas, weights, size) {
  const most = weights.reduce((a, b) => Math.max(a, Math.abs(b)), 0) || 1;
  photo(canvas, tensor([1, 3, size, size], weights.map(value => 127.5 + (127.5 * value) / most)));
  return canvas;
}

PLAYS.kernels = (place, say) => {
  const K = 5, chosen = canvas("The chosen kernel", "map"), patch = canvas("The 5 by 5 pixels below it", "map"), map = canvas("Its map, blue above 0 and orange below", "photo"), list = make("div", { class: "kernels", role: "group", "aria-label": "Kernels" });
  const hidden = make("div", {}, make("p", {}, "Its map"), map), words = make("p", { class: "sum" });
  let net, pixels, all, kernel = 0, at = { x: 12, y: 12 }, shown = false;
  const one = k => net.steps[1].weight.subarray(75 * k, 75 * (k + 1));
  const show = () => {
    if (!net || !pixels) return;
    const side = all[kernel].width, values = all[kernel].data, here = values[at.y * side + at.x], below = values.filter(value => value < here).length / (values.length - 1);
    const pieces = tensor([1, 3, K, K]), outline = view.getContext("2d");
    for (let c = 0; c < 3; c++) for (let i = 0; i < K * K; i++) pieces.data[c * K * K + i] = pixels.data[c * AREA + (at.y + Math.floor(i / K)) * PIXELS + at.x + (i % K)];
    photo(view, pixels);
    outline.strokeStyle = "#e69f00";
    outline.strokeRect(at.x - 0.5, at.y - 0.5, K + 1, K + 1);
    photo(patch, pieces);
    colours(chosen, one(kernel), K);
    paint(map, all[kernel]);
    map.getContext("2d").fillStyle = "#000";
    map.getContext("2d").fillRect(at.x, at.y, 1, 1);
    hidden.style.display = shown ? "" : "none";
    [...list.children].forEach((key, k) => key.setAttribute("aria-pressed", k === kernel));
    words.textContent = `75 pixels times 75 weights, and the bias: ${here.toFixed(2).replace("-", "−")}`;
    say(`Kernel ${kernel + 1}, row ${at.y + 1}, column ${at.x + 1}: more than at ${percent(below)} of all places.`);
  };
  const { element, view, ready } = chooser(say, now => {
    pixels = now;
    all = maps(run(net, normalised(pixels, net)).values[1]);
    show();
  });
  for (const [target, shift] of [[view, 2], [map, 0]]) {  // a place of the photo is the middle of its patch
    target.tabIndex = 0;
    target.setAttribute("role", "application");
    target.setAttribute("aria-label", `${target.getAttribute("aria-label")}: arrow keys choose a place`);
    target.addEventListener("pointerdown", event => { const [x, y] = where(target, event).map(value => Math.max(0, Math.min(PIXELS - K, value - shift))); at = { x, y }; show(); });
    target.addEventListener("keydown", event => { if (moved(event, at, PIXELS - K + 1)) show(); });
  }
  const toggle = button("Show its map", () => { shown = !shown; toggle.textContent = shown ? "Hide its map" : "Show its map"; show(); });
  const top = button("Go to its brightest place", () => {
    const { data, width } = all[kernel], i = best([...data]);
    at = { x: i % width, y: Math.floor(i / width) };
    show();
  });
  place.append(row(element, make("div", {}, make("p", {}, "Choose a kernel"), list, row(make("div", {}, make("p", {}, "Pixels"), patch), make("div", {}, make("p", {}, "Kernel"), chosen)), words, row(toggle, top)), hidden));
  return async () => {
    let images;
    [net, images] = await Promise.all([trained("alexnet-cifar10-first"), samples("cifar10")]);
    list.append(...Array.from({ length: net.steps[1].out }, (_, k) => make("button", { type: "button", "aria-label": `Kernel ${k + 1}`, onclick: () => { kernel = k; show(); } }, colours(make("canvas", { class: "map" }), one(k), K))));
    ready(net.classes, images);
  };
};
