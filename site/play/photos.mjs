// Playgrounds with photos: Inception's branches, ResNet's shortcuts, batch norm's batch, Grad-CAM.
import { gradCam, run, tensor } from "./engine.mjs";
import { PLAYS, answer, bars, button, canvas, make, maps, menu, normalised, paint, photo, row, samples, trained } from "./parts.mjs";

// A menu of ten test photos and a place for one's own; `use` gets pixels as (1, 3, 32, 32).
export function chooser(say, use) {
  const view = canvas("The photo, 32 by 32 pixels", "photo"), side = 32;
  let images;
  const give = pixels => { photo(view, pixels); use(pixels); };
  const take = i => give(tensor([1, 3, side, side], images.data.slice(i * 3072, (i + 1) * 3072)));
  const file = make("input", { type: "file", accept: "image/*", async onchange() {
    const [chosen] = file.files;
    if (!chosen) return;
    try {
      const bitmap = await createImageBitmap(chosen), size = Math.min(bitmap.width, bitmap.height);
      const small = Object.assign(document.createElement("canvas"), { width: side, height: side }), context = small.getContext("2d");
      context.fillStyle = "#fff";  // under what is transparent
      context.fillRect(0, 0, side, side);
      context.imageSmoothingQuality = "high";
      context.drawImage(bitmap, (bitmap.width - size) / 2, (bitmap.height - size) / 2, size, size, 0, 0, side, side);
      bitmap.close();
      const { data } = context.getImageData(0, 0, side, side), pixels = tensor([1, 3, side, side]);
      for (let i = 0; i < side * side; i++) for (let c = 0; c < 3; c++) pixels.data[c * side * side + i] = data[4 * i + c];
      give(pixels);
    } catch {
      say(`This browser cannot read ${chosen.name} as a picture. Take a JPEG, PNG or WebP; a HEIC of a telephone has to be converted first.`);
    }
  } });
  file.id = `file-${Math.random().toString(36).slice(2)}`;
  const element = make("div", { class: "choose" }, view);
  const ready = (names, loaded) => {
    images = loaded;
    const ask = menu("Test photo", names, take, 3);
    element.append(ask, make("div", { class: "control" }, make("label", { for: file.id }, "Or a photo of yours, which stays on this device"), file));
    take(3);
  };
  return { element, view, ready };
}

export const best = values => values.indexOf(Math.max(...values));
export const percent = value => `${(100 * value).toFixed(1)} %`;

PLAYS.inception = (place, say) => {
  const chart = make("div", { class: "chart" }), branches = make("div", { class: "layers" }), on = [true, true, true, true];
  const NAMES = ["1 × 1", "3 × 3", "5 × 5", "pooling"];
  let net, pixels, modules = [], module = 0;
  const show = () => {
    if (!net || !pixels) return;
    const input = normalised(pixels, net), whole = answer(run(net, input).logits), step = net.steps[modules[module]];
    const kept = on.flatMap((used, i) => (used ? [i] : [])), result = run(net, input, { keep: { [step.name]: kept } }), values = answer(result.logits);
    branches.replaceChildren(...step.from.map((from, i) => {
      const all = maps(result.values[from]);
      return make("div", {}, make("p", {}, `${NAMES[i]}: ${all.length} maps${on[i] ? "" : ", taken away"}`), row(...all.slice(0, 8).map((map, k) => paint(canvas(`Branch ${NAMES[i]}, map ${k + 1}`), map))));
    }));
    bars(chart, net.classes, values, whole);
    const was = best(whole), is = best(values);
    say(`${kept.length} of 4 branches: ${net.classes[is]}, ${percent(values[is])}. With all four: ${net.classes[was]}, ${percent(whole[was])}. The marks show where each bar was.`);
  };
  const { element, ready } = chooser(say, chosen => { pixels = chosen; show(); });
  const boxes = NAMES.map((name, i) => {
    const box = make("input", { type: "checkbox", onchange: () => { on[i] = box.checked; show(); } });
    box.checked = true;
    return make("label", { class: "tick" }, box, ` ${name}`);
  });
  const tools = make("div");
  place.append(row(element, make("div", {}, tools, make("fieldset", {}, make("legend", {}, "Branches"), ...boxes)), chart), branches);
  return async () => {
    let images;
    [net, images] = await Promise.all([trained("googlenet_bn-cifar10"), samples("cifar10")]);
    modules = net.steps.flatMap((step, i) => (step.op === "cat" ? [i] : []));
    tools.append(menu("Module", ["3a", "3b", "4a", "4b", "4c", "4d", "4e", "5a", "5b"], i => { module = i; show(); }));
    ready(net.classes, images);
  };
};

PLAYS.shortcut = (place, say) => {
  const chart = make("div", { class: "chart" }), CUTS = ["whole", "without its shortcut", "without its F"], cut = new Array(9).fill(0);
  let net, pixels, images, blocks = [], timer;
  const keep = () => Object.fromEntries(blocks.flatMap((name, i) => (cut[i] ? [[name, [cut[i] - 1]]] : [])));
  const show = () => {
    if (!net || !pixels) return;
    const input = normalised(pixels, net), whole = answer(run(net, input).logits), values = answer(run(net, input, { keep: keep() }).logits);
    bars(chart, net.classes, values, whole);
    const is = best(values), text = `${cut.filter(Boolean).length} of 9 blocks changed: ${net.classes[is]}, ${percent(values[is])}.`;
    say(text);
    clearTimeout(timer);
    timer = setTimeout(() => {
      const right = net.classes.filter((_, i) => best(answer(run(net, normalised(images, net, i), { keep: keep() }).logits)) === i);
      say(`${text} Of the ten test photos, ${right.length} are right.`);
    }, 300);
  };
  const { element, ready } = chooser(say, chosen => { pixels = chosen; show(); });
  const menus = cut.map((_, i) => menu(`Block ${i + 1}, ${16 << Math.floor(i / 3)} channels`, CUTS, chosen => { cut[i] = chosen; show(); }));
  const all = button("All whole again", () => { cut.fill(0); menus.forEach(one => one.select(0)); show(); });
  place.append(row(element, chart), make("div", { class: "blocks" }, ...menus), row(all));
  return async () => {
    [net, images] = await Promise.all([trained("resnet20-cifar10"), samples("cifar10")]);
    blocks = net.steps.filter(step => step.op === "add").map(step => step.name);
    ready(net.classes, images);
  };
};

PLAYS.batch = (place, say) => {
  const chart = make("div", { class: "chart" });
  let net, pixels, images, mode = 0, company = 0;
  const show = () => {
    if (!net || !pixels) return;
    const others = [[0, 1, 2, 4, 5, 6, 8], Array(7).fill(8), Array(7).fill(null), []][company];
    const all = [normalised(pixels, net), ...others.map(i => (i === null ? normalised(pixels, net) : normalised(images, net, i)))];
    const input = tensor([all.length, 3, 32, 32]);
    all.forEach((one, i) => input.data.set(one.data, i * one.data.length));
    const whole = answer(run(net, all[0]).logits), { logits } = run(net, input, { train: mode === 1 });
    const values = answer(tensor([1, 10], logits.data.slice(0, 10)));
    bars(chart, net.classes, values, whole);
    const is = best(values), same = Math.max(...values.map((value, i) => Math.abs(value - whole[i]))) < 1e-6;
    say(`${mode ? "Training" : "Evaluation"} mode, ${all.length} photo${all.length > 1 ? "s" : ""} in the batch: ${net.classes[is]}, ${percent(values[is])}. ${same ? "As alone in evaluation mode." : "The marks show the answer in evaluation mode."}`);
  };
  const { element, ready } = chooser(say, chosen => { pixels = chosen; show(); });
  const tools = make("div", {}, menu("Mode", ["evaluation: running statistics", "training: statistics of this batch"], i => { mode = i; show(); }),
    menu("With it in the batch", ["seven photos of other classes", "one ship, seven times", "the photo itself, seven times more", "nothing"], i => { company = i; show(); }));
  place.append(row(element, tools, chart));
  return async () => {
    [net, images] = await Promise.all([trained("resnet20-cifar10"), samples("cifar10")]);
    ready(net.classes, images);
  };
};

PLAYS.gradcam = (place, say) => {
  const chart = make("div", { class: "chart" }), heat = canvas("Grad-CAM over the photo", "photo"), tools = make("div");
  const STAGES = ["stage 3, maps of 8 × 8", "stage 2, maps of 16 × 16", "stage 1, maps of 32 × 32"];
  let net, pixels, label = null, stage = 0, ends = [];
  const show = () => {
    if (!net || !pixels) return;
    const result = run(net, normalised(pixels, net)), values = answer(result.logits), wanted = label === null ? best(values) : label;
    const map = gradCam(net, result, wanted, ends[stage]), most = Math.max(...map.data), step = 32 / map.width;
    bars(chart, net.classes, values);
    photo(heat, pixels);
    const context = heat.getContext("2d");
    map.data.forEach((value, i) => {
      context.fillStyle = `rgb(213 94 0 / ${most ? (0.75 * value) / most : 0})`;
      context.fillRect((i % map.width) * step, Math.floor(i / map.width) * step, step, step);
    });
    const is = best(values);
    say(`Answer: ${net.classes[is]}, ${percent(values[is])}. Orange: the places that speak for ${net.classes[wanted]}${most ? "" : "; there is none here"}.`);
  };
  const { element, ready } = chooser(say, chosen => { pixels = chosen; show(); });
  place.append(row(element, make("div", {}, heat, tools), chart));
  return async () => {
    let images;
    [net, images] = await Promise.all([trained("resnet20-cifar10"), samples("cifar10")]);
    const adds = net.steps.flatMap((step, i) => (step.op === "add" ? [i + 1] : []));  // the ReLU after the sum
    ends = [adds[8], adds[5], adds[2]];
    tools.append(menu("Class", ["the network's answer", ...net.classes], i => { label = i ? i - 1 : null; show(); }), menu("Layer", STAGES, i => { stage = i; show(); }));
    ready(net.classes, images);
  };
};
