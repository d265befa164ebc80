// Playgrounds of training: dropout's thinned networks, and a run epoch by epoch.
import { run, tensor } from "./engine.mjs";
import { PLAYS, answer, bars, button, canvas, everyEpoch, make, maps, menu, normalised, paint, photo, row, samples, slider, trained } from "./parts.mjs";
import { best, chooser, percent } from "./photos.mjs";
import { drawing } from "./shapes.mjs";
import { colours } from "./views.mjs";

PLAYS.dropout = (place, say) => {
  const NETS = ["mlp-mnist", "mlp-dropout-mnist"], UNITS = 32, DRAWS = 20, AFTER = ["2", "5"];  // its two ReLUs
  const chart = make("div", { class: "chart" }), picture = make("div", { class: "wide" }), seen = canvas("The digit", "map"), score = make("p");
  let nets, digits, which = 0, rate = 0.5, digit = 7, draws;
  const drawAgain = () => { draws = Array.from({ length: DRAWS }, () => AFTER.map(() => Array.from({ length: UNITS }, Math.random))); };
  const masks = draw => Object.fromEntries(AFTER.map((name, layer) => [name, draw[layer].map(u => (u < rate ? 0 : 1 / (1 - rate)))]));
  const x = (i, count) => 20 + ((i + 0.5) * 560) / count, rows = [170, 95, 20];
  // Lines of a unit that is dropped are gone; a unit is darker the larger its value is.
  const draw = (net, layers, values) => {
    const counts = [UNITS, UNITS, 10], alive = [...layers.map(one => one.map(factor => factor > 0)), Array(10).fill(true)], lines = [], parts = [];
    for (let layer = 0; layer < 2; layer++)
      for (let i = 0; i < counts[layer]; i++)
        for (let j = 0; j < counts[layer + 1]; j++)
          if (alive[layer][i] && alive[layer + 1][j]) lines.push(`M${x(i, counts[layer]).toFixed(1)} ${rows[layer]}L${x(j, counts[layer + 1]).toFixed(1)} ${rows[layer + 1]}`);
    parts.push(`<path class="edges" d="${lines.join("")}"/>`);
    values.forEach((layer, k) => {
      const most = Math.max(...layer, 1e-9), radius = k < 2 ? 7 : 15;
      layer.forEach((value, i) => {
        const [cx, cy] = [x(i, counts[k]), rows[k]];
        if (alive[k][i]) parts.push(`<circle cx="${cx}" cy="${cy}" r="${radius}" class="blank"/><circle cx="${cx}" cy="${cy}" r="${radius}" class="unit" fill-opacity="${(value / most).toFixed(2)}"/>`);
        else parts.push(`<path class="gone" d="M${cx - 5} ${cy - 5}l10 10m0 -10l-10 10"/>`);
        if (k === 2) parts.push(`<text x="${cx}" y="${cy + 5}" text-anchor="middle" class="${value / most > 0.5 ? "on" : ""}">${i}</text>`);
      });
    });
    const dropped = layers.flat().filter(factor => !factor).length;
    picture.replaceChildren(drawing(`Two hidden layers of ${UNITS} units, ${dropped} of them dropped, and ten outputs`, 600, 185, parts));
    return dropped;
  };
  const show = () => {
    if (!nets) return;
    const net = nets[which], all = tensor([10, 1, 28, 28]), mine = masks(draws[0]);
    for (let i = 0; i < 10; i++) all.data.set(normalised(digits, net, i).data, 784 * i);
    const of = (result, step) => [...result.values[net.at(step)].data.subarray(UNITS * digit, UNITS * (digit + 1))];
    const ten = logits => Array.from({ length: 10 }, (_, i) => answer(tensor([1, 10], logits.data.slice(10 * i, 10 * i + 10))));
    const whole = ten(run(net, all).logits)[digit], result = run(net, all, { masks: mine }), values = ten(result.logits)[digit], is = best(values);
    const right = draws.map(one => ten(run(net, all, { masks: masks(one) }).logits).filter((each, i) => best(each) === i).length).reduce((a, b) => a + b);
    const dropped = draw(net, AFTER.map(name => mine[name]), [...AFTER.map(step => of(result, step)), values]);
    paint(seen, { data: digits.data.subarray(784 * digit, 784 * (digit + 1)).map(value => value / 255), height: 28, width: 28 }, { grey: true });
    bars(chart, net.classes, values, whole);
    say(`${dropped} of ${2 * UNITS} units are dropped: this thinned network reads a ${is}, ${percent(values[is])}.`);
    score.textContent = `${DRAWS} thinned networks read ten test digits each: ${right} of ${10 * DRAWS} answers are right.`;
  };
  drawAgain();
  const take = i => { digit = i; show(); };
  const tools = make("div", { class: "tools" }, menu("Network", ["trained without dropout", "trained with dropout of 0.2"], i => { which = i; show(); }), menu("Test digit", [..."0123456789"], take, digit),
    slider("Drop a unit with probability", [0, 0.9, rate, 0.05], value => { rate = value; show(); }, value => value.toFixed(2)), button("Draw again", () => { drawAgain(); show(); }));
  place.append(row(make("div", {}, seen), tools, chart), picture, score);
  return async () => {
    [digits, ...nets] = await Promise.all([samples("mnist"), ...NETS.map(trained)]);
    show();
  };
};

PLAYS.epochs = (place, say) => {
  const chart = make("div", { class: "chart" }), errors = make("div"), inside = make("div", { class: "layers" }), tools = make("div", { class: "tools" });
  let nets, images, pixels, epoch = 0;
  const curve = rows => {
    const x = i => 52 + (i / rows.length) * 260, y = wrong => 10 + (1 - wrong) * 130, line = key => rows.map((one, i) => `${x(i + 1).toFixed(1)},${y(1 - one[key]).toFixed(1)}`).join(" ");
    return drawing(`Part of the photos that are wrong, training and validation, over ${rows.length} epochs`, 320, 180, [
      ...[0, 0.5, 1].map(part => `<text x="48" y="${y(part) + 5}" text-anchor="end">${100 * part}%</text><path class="grid" d="M52 ${y(part)}H312"/>`),
      `<path class="now" d="M${x(epoch)} 10V140"/>`, `<polyline points="${line("train_accuracy")}" class="curve"/>`, `<polyline points="${line("val_accuracy")}" class="path dashed"/>`,
      `<text x="0" y="172">wrong: training solid, validation dashed</text>`]);
  };
  const show = () => {
    if (!nets || !pixels) return;
    const net = nets[epoch], result = run(net, normalised(pixels, net)), values = answer(result.logits), is = best(values), rows = net.rows, conv = net.steps.find(step => step.op === "conv");
    const last = answer(run(nets.at(-1), normalised(pixels, net)).logits);
    bars(chart, net.classes, values, last);
    errors.replaceChildren(curve(rows));
    const stages = net.steps.flatMap((step, i) => (step.op === "add" ? [i + 1] : [])).filter((_, i) => i % 3 === 2), size = 9 * net.shape[0];
    const group = (text, canvases) => make("div", {}, make("p", {}, text), row(...canvases));
    inside.replaceChildren(group("First kernels", Array.from({ length: conv.out }, (_, k) => colours(canvas(`Kernel ${k + 1}`), conv.weight.slice(size * k, size * (k + 1)), 3))),
      ...stages.map((step, s) => group(`Maps of stage ${s + 1}`, maps(result.values[step]).slice(0, 4).map((map, k) => paint(canvas(`Stage ${s + 1}, map ${k + 1}`), map)))));
    const right = net.classes.filter((_, i) => best(answer(run(net, normalised(images, net, i)).logits)) === i).length;
    const told = epoch ? `learning rate ${rows[epoch - 1].lr.toPrecision(2)}, ${percent(1 - rows[epoch - 1].val_accuracy)} of the validation photos wrong` : "random weights";
    say(`${epoch ? `After epoch ${epoch}` : "Before training"}: ${told}. Answer: ${net.classes[is]}, ${percent(values[is])}. Right on ${right} of the ten test photos. The marks show the last epoch.`);
  };
  const { element, ready } = chooser(say, chosen => { pixels = chosen; show(); });
  place.append(row(element, tools, chart), inside);
  return async () => {
    [nets, images] = await Promise.all([everyEpoch("resnet20-epochs"), samples("cifar10")]);
    tools.append(slider("Epoch", [0, nets.length - 1, epoch], value => { epoch = value; show(); }), errors);
    ready(nets[0].classes, images);
  };
};
