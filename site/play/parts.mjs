// What the playgrounds share: elements, sliders, maps as pictures, bars, and how a network is fetched.
import { fromBase64, network, run, softmax, tensor } from "./engine.mjs";

export const PLAYS = {};  // name of a playground -> what builds it in an element

export function make(tag, attributes = {}, ...inside) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes))
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value === true || typeof value === "string" || typeof value === "number") element.setAttribute(name, value === true ? "" : value);
  element.append(...inside);
  return element;
}

export const button = (text, action) => make("button", { type: "button", onclick: action }, text);

let counted = 0;
function labelled(text, control, ...more) {
  control.id = `play-${++counted}`;
  return make("div", { class: "control" }, make("label", { for: control.id }, text), control, ...more);
}

// A slider that says its value; `shown` turns it into words.
export function slider(text, [low, high, value, step = 1], change, shown = String) {
  const output = make("output", {}, shown(value));
  const control = make("input", { type: "range", min: low, max: high, step, value, oninput() {
    output.value = shown(Number(control.value));
    change(Number(control.value));
  } });
  const whole = labelled(text, control, output);
  return Object.assign(whole, { get value() { return Number(control.value); } });
}

// A menu; `options` are texts, the change gets the number of the chosen one.
export function menu(text, options, change, chosen = 0) {
  const control = make("select", { onchange: () => change(control.selectedIndex) }, ...options.map(one => make("option", {}, one)));
  control.selectedIndex = chosen;
  const whole = labelled(text, control);
  whole.select = i => { control.selectedIndex = i; };
  return whole;
}

export const row = (...inside) => make("div", { class: "row" }, ...inside);

// Blue for what is above 0, orange below, as the figures of the course; grey for images.
const BLUE = [0, 114, 178], ORANGE = [213, 94, 0];
export function paint(canvas, { data, height, width }, { grey = false, most } = {}) {
  most ||= data.reduce((a, b) => Math.max(a, Math.abs(b)), 0) || 1;
  Object.assign(canvas, { width, height });
  const context = canvas.getContext("2d"), image = context.createImageData(width, height);
  for (let i = 0; i < width * height; i++) {
    const share = Math.min(1, Math.abs(data[i]) / most), hue = data[i] < 0 ? ORANGE : BLUE;
    const rgb = grey ? [1, 1, 1].map(() => 255 * Math.max(0, data[i])) : hue.map(value => 255 + share * (value - 255));
    image.data.set([...rgb, 255], 4 * i);
  }
  context.putImageData(image, 0, 0);
  return canvas;
}

export const canvas = (name, className = "map") => make("canvas", { role: "img", "aria-label": name, class: className });

// Maps number `image` of a step: {data, height, width} each.
export function maps({ data, shape: [, channels, height, width] }, image = 0) {
  const area = height * width;
  return Array.from({ length: channels }, (_, c) => ({ data: data.subarray((image * channels + c) * area, (image * channels + c + 1) * area), height, width }));
}

// Probabilities as bars, the largest in bold; `before` draws a mark where each was.
export function bars(place, names, values, before) {
  const best = values.indexOf(Math.max(...values));
  place.replaceChildren(...names.map((name, i) => {
    const mark = before ? make("i", { style: `left:${100 * before[i]}%` }) : "";
    const bar = make("span", { class: "bar-of" }, make("b", { style: `width:${100 * values[i]}%` }), mark);
    const line = make("div", { class: i === best ? "best" : "" }, make("span", {}, name), bar, make("span", {}, `${(100 * values[i]).toFixed(1)} %`));
    return line;
  }));
}

export const answer = logits => [...softmax(logits).data];

// A script of this site, once; it leaves what it holds in window.CNN.
const asked = {};
function fetched(name) {
  const folder = `${document.documentElement.dataset.content_root || ""}_static/play/`;
  return asked[name] ||= window.CNN?.[name] ? Promise.resolve(window.CNN[name]) : new Promise((done, fail) => {
    const script = make("script", { src: `${folder}${name}.js` });
    script.onload = () => (window.CNN?.[name] ? done(window.CNN[name]) : fail(new Error(`${name} holds no network.`)));
    script.onerror = () => fail(new Error("The network's file is missing beside this page: copy the whole folder of the site."));
    document.head.append(script);
  });
}

// A network, once it has answered zeros: an export whose plan does not fit is found here.
export async function trained(name) {
  const { plan, data } = await fetched(name);
  return checked(() => network(plan, fromBase64(data)));
}

// The networks of a run: as it began, and after each epoch.
export async function everyEpoch(name) {
  const { plan, data } = await fetched(name), bytes = fromBase64(data), size = bytes.length / (plan.rows.length + 1);
  return Array.from({ length: plan.rows.length + 1 }, (_, i) => checked(() => network(plan, bytes.subarray(i * size, (i + 1) * size))));
}

function checked(read) {
  let net, answered, why = "";
  try {
    net = read();
    answered = run(net, tensor([1, ...net.shape])).logits.data;
  } catch (error) { why = ` ${error.message}`; }
  if (!answered?.every(Number.isFinite)) throw new Error(`The network's file does not fit its plan: export it again.${why}`);
  return net;
}

// Ten test images, one a class: pixels 0 to 255, as (10, C, H, W).
export async function samples(name) {
  const { data, shape } = await fetched(name);
  return tensor(shape, Float32Array.from(fromBase64(data)));
}

// Pixels 0 to 255 of image `i` -> what a network takes.
export function normalised({ data, shape: [, channels, height, width] }, net, i = 0) {
  const area = height * width, out = tensor([1, channels, height, width]);
  for (let c = 0; c < channels; c++)
    for (let k = 0; k < area; k++) out.data[c * area + k] = (data[(i * channels + c) * area + k] / 255 - net.mean[c]) / net.std[c];
  return out;
}

// A colour image of pixels 0 to 255.
export function photo(canvas, { data, shape: [, , height, width] }, i = 0) {
  Object.assign(canvas, { width, height });
  const context = canvas.getContext("2d"), image = context.createImageData(width, height), area = height * width;
  for (let k = 0; k < area; k++) image.data.set([0, 1, 2].map(c => data[(i * 3 + c) * area + k]).concat(255), 4 * k);
  context.putImageData(image, 0, 0);
}

// Column and row of the value of a canvas on which a pointer is.
export function where(element, event) {
  const box = element.getBoundingClientRect(), inner = box.width - 2, size = element.width;
  return [event.clientX - box.left - 1, event.clientY - box.top - 1].map(value => Math.max(0, Math.min(size - 1, Math.floor((value / inner) * size))));
}

// Move {x, y} by an arrow key within size x size; whether it was one.
const MOVES = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
export function moved(event, at, size) {
  const move = MOVES[event.key];
  if (!move) return false;
  event.preventDefault();
  at.x = Math.max(0, Math.min(size - 1, at.x + move[0]));
  at.y = Math.max(0, Math.min(size - 1, at.y + move[1]));
  return true;
}

// Build every playground of the page; what goes wrong is said in its place, and the page goes on.
export function start() {
  if (location.search.includes("print-pdf")) return;  // a printed deck keeps the pictures
  for (const place of document.querySelectorAll("[data-play]")) {
    apart(place);
    const said = make("p", { role: "status", class: "said" }), inside = make("div");
    const fail = error => { said.textContent = `This playground stops here. ${error.message}`; };
    try {
      const wake = PLAYS[place.dataset.play](inside, text => { said.textContent = text; });
      place.replaceChildren(said, inside);
      if (!wake) continue;  // needs no network
      new IntersectionObserver((seen, self) => {
        if (!seen.some(one => one.isIntersecting)) return;
        self.disconnect();
        Promise.resolve(wake()).catch(fail);
      }, { rootMargin: "300px" }).observe(place);
    } catch (error) {
      place.append(said);
      fail(error);
    }
  }
}

// Keys, swipes and drags within a playground turn no slide of a deck.
function apart(place) {
  place.dataset.preventSwipe = "";
  place.addEventListener("keydown", event => {
    if (["PageUp", "PageDown", "Escape"].includes(event.key)) return;
    if (event.target.matches("select, input, [role=application]") || [" ", "Enter"].includes(event.key)) event.stopPropagation();
  });
  place.addEventListener("pointerup", event => { if (window.Reveal && event.target.matches("[type=range]")) event.target.blur(); });
}
