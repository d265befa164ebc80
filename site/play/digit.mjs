// Draw a digit, and watch what LeNet-5 makes of it; a value of C1 comes apart into its products.
import { run, tensor } from "./engine.mjs";
import { PLAYS, answer, bars, button, canvas, make, maps, menu, moved, normalised, paint, row, samples, trained, where } from "./parts.mjs";

const SIDE = 28, fixed = value => value.toFixed(2).replace("-", "−");

// As MNIST's makers did: the digit fits into 20 x 20, its centre of mass lies in the middle.
function prepared(ink) {
  let [top, bottom, left, right] = [SIDE, -1, SIDE, -1];
  ink.forEach((value, i) => {
    if (value < 20) return;
    const y = Math.floor(i / SIDE), x = i % SIDE;
    [top, bottom, left, right] = [Math.min(top, y), Math.max(bottom, y), Math.min(left, x), Math.max(right, x)];
  });
  if (bottom < 0) return null;
  const height = bottom - top + 1, width = right - left + 1, scale = 20 / Math.max(height, width);
  const at = (y, x) => (y < 0 || x < 0 || y >= SIDE || x >= SIDE ? 0 : ink[y * SIDE + x]);
  const smooth = (y, x) => {  // between the four nearest pixels
    const y0 = Math.floor(y), x0 = Math.floor(x), dy = y - y0, dx = x - x0;
    return (1 - dy) * ((1 - dx) * at(y0, x0) + dx * at(y0, x0 + 1)) + dy * ((1 - dx) * at(y0 + 1, x0) + dx * at(y0 + 1, x0 + 1));
  };
  let mass = 0, my = 0, mx = 0;
  ink.forEach((value, i) => { mass += value; my += value * Math.floor(i / SIDE); mx += value * (i % SIDE); });
  const out = tensor([1, 1, SIDE, SIDE]);
  for (let i = 0; i < SIDE * SIDE; i++) out.data[i] = smooth(my / mass + (Math.floor(i / SIDE) - 13.5) / scale, mx / mass + ((i % SIDE) - 13.5) / scale);
  return out;
}

PLAYS.digit = (place, say) => {
  const ink = new Float32Array(SIDE * SIDE), pad = canvas("Drawing pad, 28 by 28 pixels: arrow keys move the pen, Space draws", "pad");
  const seen = canvas("What the network gets"), layers = make("div", { class: "layers" }), chart = make("div", { class: "chart" }), sum = make("div", { class: "products", "aria-live": "polite" });
  let net, digits, result, input, pen = { x: 8, y: 6, down: false, shown: false }, pick = { map: 0, y: 14, x: 14 };
  Object.assign(pad, { tabIndex: 0 });
  pad.removeAttribute("role");
  pad.setAttribute("role", "application");
  const c1 = [0, 1, 2, 3, 4, 5].map(i => canvas(`Map ${i + 1} of C1: arrow keys choose a value`));

  const drawPad = () => {
    paint(pad, { data: ink.map(value => value / 255), height: SIDE, width: SIDE }, { grey: true });
    if (!pen.shown) return;
    const context = pad.getContext("2d");
    context.fillStyle = pen.down ? "#e69f00" : "#56b4e9";
    context.fillRect(pen.x, pen.y, 1, 1);
  };
  const dot = (x, y) => {
    for (let dy = -1; dy <= 1; dy++)
      for (let dx = -1; dx <= 1; dx++) {
        const i = (y + dy) * SIDE + x + dx, value = dy && dx ? 110 : dy || dx ? 200 : 255;
        if (y + dy >= 0 && x + dx >= 0 && y + dy < SIDE && x + dx < SIDE) ink[i] = Math.max(ink[i], value);
      }
  };
  const stroke = (x0, y0, x1, y1) => {
    const steps = Math.max(1, Math.ceil(2 * Math.hypot(x1 - x0, y1 - y0)));
    for (let i = 0; i <= steps; i++) dot(Math.round(x0 + ((x1 - x0) * i) / steps), Math.round(y0 + ((y1 - y0) * i) / steps));
  };

  const products = () => {
    const weights = net.steps[net.at("c1.0")], { map, y, x } = pick, terms = [];
    for (let k = 0; k < 25; k++) {
      const r = y + Math.floor(k / 5) - 2, c = x + (k % 5) - 2, value = r < 0 || c < 0 || r >= SIDE || c >= SIDE ? 0 : input.data[r * SIDE + c];
      terms.push(value * weights.weight[map * 25 + k]);
    }
    const total = terms.reduce((a, b) => a + b) + weights.bias[map], cells = Array.from({ length: 5 }, (_, r) => make("tr", {}, ...terms.slice(5 * r, 5 * r + 5).map(value => make("td", {}, fixed(value)))));
    sum.replaceChildren(make("p", {}, `Map ${map + 1}, row ${y + 1}, column ${x + 1}: 25 products of a pixel and a weight,`), make("table", {}, ...cells),
      make("p", {}, `and the bias ${fixed(weights.bias[map])} sum to ${fixed(total)}; tanh makes it ${fixed(Math.tanh(total))}.`));
    c1.forEach((one, i) => {
      paint(one, maps(result.values[net.at("c1.1")])[i], { most: 1 });
      if (i !== map) return;
      const context = one.getContext("2d");
      context.fillStyle = "#009e73";
      context.fillRect(x, y, 1, 1);
    });
  };
  const look = () => {
    drawPad();
    if (!net) return;
    const made = prepared(ink);
    if (!made) {
      [layers, chart, sum].forEach(one => one.replaceChildren());
      seen.width = 0;
      return say("The pad is empty. Draw a digit, or take one of the test set.");
    }
    paint(seen, { data: made.data.map(value => value / 255), height: SIDE, width: SIDE }, { grey: true });
    input = normalised(made, net);
    const began = performance.now();
    result = run(net, input);
    const ms = performance.now() - began, values = answer(result.logits), best = values.indexOf(Math.max(...values));
    bars(chart, net.classes, values);
    const group = (text, step, canvases) => make("div", {}, make("p", {}, text), row(...(canvases || maps(result.values[net.at(step)]).map((map, i) => paint(canvas(`${text}, map ${i + 1}`), map, { most: 1 })))));
    layers.replaceChildren(group("C1: 6 maps of 28 × 28, blue above 0 and orange below. Choose a value in one.", "c1.1", c1), group("S2: means of 2 × 2", "s2"), group("C3: 16 maps of 10 × 10", "c3.1"), group("S4: means of 2 × 2", "s4"));
    products();
    say(`LeNet-5 reads a ${net.classes[best]} (${(100 * values[best]).toFixed(1)} %), in ${ms.toFixed(0)} ms.`);
  };

  let last = null;
  pad.addEventListener("pointerdown", event => { pad.setPointerCapture(event.pointerId); pen.shown = false; last = where(pad, event); stroke(...last, ...last); look(); });
  pad.addEventListener("pointermove", event => { if (!last) return; const next = where(pad, event); stroke(...last, ...next); last = next; drawPad(); });
  for (const end of ["pointerup", "pointercancel"]) pad.addEventListener(end, () => { if (last) { last = null; look(); } });
  pad.addEventListener("keydown", event => {
    pen.shown = true;
    if (event.key === " ") { event.preventDefault(); pen.down = !pen.down; say(pen.down ? "Pen down" : "Pen up"); }
    else if (!moved(event, pen, SIDE)) return;
    if (pen.down) dot(pen.x, pen.y);
    drawPad();
    if (!pen.down) look();
  });
  pad.addEventListener("blur", () => { pen = { ...pen, down: false, shown: false }; look(); });
  c1.forEach((one, map) => {
    one.tabIndex = 0;
    one.setAttribute("role", "application");
    one.addEventListener("pointerdown", event => { const [x, y] = where(one, event); pick = { map, x, y }; products(); });
    one.addEventListener("keydown", event => { pick.map = map; if (moved(event, pick, SIDE)) products(); });
  });

  const take = i => { ink.set(digits.data.subarray(i * SIDE * SIDE, (i + 1) * SIDE * SIDE)); look(); };
  const choice = menu("Take a test digit", ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"], i => digits && take(i), 7);
  place.append(row(make("div", {}, pad, row(button("Clear", () => { ink.fill(0); look(); }), choice)), make("div", {}, make("p", {}, "What the network gets"), seen), chart), layers, sum);
  drawPad();
  return async () => {
    say("The network is being fetched.");
    [net, digits] = await Promise.all([trained("lenet5-mnist"), samples("mnist")]);
    if (!ink.some(Boolean)) take(7);
    else look();
  };
};
