// Live slides: the deck's code runs on a kernel of the Jupyter server that serves the page.
// LIVE holds the notebook's cells {id, section, code}, and for each slide those that it runs.
(() => {
"use strict";
const query = new URLSearchParams(location.search);
// The speaker's window shows this page twice, and a printed one has nobody who types.
if (query.has("receiver") || query.has("print-pdf")) return;
const token = query.get("token"), session = crypto.randomUUID();
const GONE = "Python does not answer: is `make present` still running? Start it again, and load this page anew.";
const DIED = "Python stopped, perhaps for want of memory, and starts again. What ran before is forgotten: Shift-Enter runs this cell, and all that it needs.";
const STEP = "application/vnd.cnn-course.step+json";
const panels = new Map();  // slide -> its panel
const waiting = new Map();  // id of a request -> the panel that shows its answers
let kernel = null, socket = null, connecting = null;

function make(tag, attributes = {}, ...inside) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element[name] = value;
    else element.setAttribute(name, value);
  }
  element.append(...inside);
  return element;
}

async function ask(path, method = "GET", body = undefined) {
  const headers = { Authorization: `token ${token}`, "Content-Type": "application/json" };
  const answer = await fetch(`/api/kernels${path}`, { method, headers, body: body && JSON.stringify(body) });
  if (!answer.ok) throw new Error(`${answer.status}`);
  return answer.status == 204 ? null : answer.json();
}

// The kernel of this tab: a page that is loaded anew finds its values again.
function connect() {
  if (socket?.readyState == WebSocket.OPEN) return socket;
  return connecting ??= reach().finally(() => { connecting = null; });
}

async function reach() {
  const known = sessionStorage.getItem("kernel");
  kernel = known && await ask(`/${known}`).catch(() => null);
  kernel ??= await ask("", "POST", { name: "python3", path: "notebooks" });
  sessionStorage.setItem("kernel", kernel.id);
  const scheme = location.protocol.replace("http", "ws");
  const place = `${scheme}//${location.host}/api/kernels/${kernel.id}/channels`;
  socket = new WebSocket(`${place}?session_id=${session}&token=${token}`);
  socket.onmessage = event => heard(JSON.parse(event.data));
  socket.onclose = () => stopAll(GONE);
  await new Promise((done, failed) => { socket.onopen = done; socket.onerror = failed; });
}

function heard({ header, parent_header, content }) {
  const type = header.msg_type, panel = waiting.get(parent_header?.msg_id);
  if (type == "status" && ["restarting", "dead", "autorestarting"].includes(content.execution_state)) stopAll(DIED);
  if (!panel) return;
  if (type == "execute_reply") panel.replied = content.status;
  if (type == "status" && content.execution_state == "idle") panel.idle = true;
  if (panel.idle && panel.replied) {  // the two come in either order
    waiting.delete(parent_header.msg_id);
    panel.ends(panel.replied == "ok" ? "done" : panel.replied == "error" ? "failed" : "stopped");
  } else panel.takes(type, content);
}

function stopAll(why) {
  const stopped = new Set(waiting.values());
  waiting.clear();
  for (const panel of stopped) {
    panel.complain(why);
    panel.ends("failed");
  }
}

// What one slide runs: code to edit, how it goes, and what came out.
class Panel {
  constructor(slide, cells) {
    this.slide = slide;
    this.outputs = make("div", { class: "outputs", tabindex: "0", role: "region", "aria-label": "output" });
    this.state = make("span", { class: "state", role: "status" });
    this.stop = make("button", { type: "button", hidden: "", onclick: () => ask(`/${kernel.id}/interrupt`, "POST").catch(() => {}) }, "Stop");
    this.code = make("textarea", { spellcheck: "false", "aria-label": "code", onkeydown: event => this.typed(event), oninput: () => this.fits() });
    const close = make("button", { type: "button", onclick: () => this.close() }, "Close");
    this.choice = make("select", { "aria-label": "cell", onchange: () => this.choose(cells[this.choice.value]) });
    for (const [i, { section, code }] of cells.entries()) {
      if (section != cells[i - 1]?.section) this.choice.append(make("optgroup", { label: section }));
      const line = code.split("\n").find(one => !one.startsWith("# ")) ?? code;
      this.choice.lastChild.append(make("option", { value: i }, line.slice(0, 60) || "your own code"));
    }
    const bar = make("div", { class: "bar" }, this.choice, this.state, this.stop, close);
    this.element = make("div", { class: "live" }, this.code, bar, this.outputs);
    slide.querySelector(".slide").append(this.element);
    this.choose(cells[0]);
  }

  choose(cell) {
    this.cell = cell;
    this.code.value = cell.code;
    this.outputs.replaceChildren();
    this.says("Shift-Enter runs it");
    this.fits();
  }

  // It covers what the slide shows below its question, and ends above the footer.
  open() {
    this.element.hidden = false;
    const inside = this.slide.querySelector(".slide"), scale = Reveal.getScale();
    inside.classList.add("runs");  // its question goes up
    const top = inside.getBoundingClientRect().top;
    const places = [...inside.querySelectorAll("h1, h2, h3")].map(e => (e.getBoundingClientRect().bottom - top) / scale);
    this.element.style.top = `${Math.max(...places.filter(place => place < 330), 90) + 10}px`;
    this.fits();
  }

  close() {
    this.element.hidden = true;
    this.slide.querySelector(".slide").classList.remove("runs");
    this.code.blur();
  }

  fits() { this.code.rows = Math.min(10, this.code.value.split("\n").length); }

  typed(event) {
    if (event.key == "Escape") {
      this.code.blur();
      event.stopPropagation();
    } else if (event.key == "Tab" && !event.shiftKey) {
      event.preventDefault();
      this.code.setRangeText("    ", this.code.selectionStart, this.code.selectionEnd, "end");
    }
  }

  says(words, kind = "") {
    this.state.textContent = words;
    this.element.dataset.state = kind;
  }

  async run() {
    if (this.timer) return;
    this.outputs.replaceChildren();
    this.shown = new Map();
    this.replied = this.idle = null;
    this.first = "";
    const begun = performance.now();
    this.seconds = () => ((performance.now() - begun) / 1000).toFixed(1);
    const tick = () => this.says(`running${this.first || ""} · ${this.seconds()} s`, "running");
    this.timer = setInterval(tick, 100);
    tick();
    this.stop.hidden = false;
    try {
      await connect();
    } catch {
      this.complain(GONE);
      return this.ends("failed");
    }
    const id = crypto.randomUUID();
    waiting.set(id, this);
    const header = { msg_id: id, msg_type: "execute_request", session, username: "", version: "5.3", date: new Date().toISOString() };
    const content = { code: this.code.value, silent: false, store_history: true, user_expressions: {}, allow_stdin: false, stop_on_error: true };
    socket.send(JSON.stringify({ header, parent_header: {}, metadata: { cellId: this.cell.id }, content, channel: "shell", buffers: [] }));
  }

  ends(how) {
    clearInterval(this.timer);
    this.timer = null;
    this.stop.hidden = true;
    this.says(`${how} after ${this.seconds()} s`, how);
  }

  takes(type, content) {
    if (type == "clear_output") this.outputs.replaceChildren();
    if (type == "stream") this.prints(content.text, content.name);
    if (type == "error") this.complain(`${content.ename}: ${content.evalue}`, content.traceback);
    if (!content.data) return;
    if (STEP in content.data) {
      const step = content.data[STEP];
      this.first = step && ` first ${step.number} of ${step.of}: ${step.code}`;
      return;
    }
    const element = picture(content.data), id = content.transient?.display_id;
    if (id && this.shown.has(id)) this.shown.get(id).replaceWith(element);
    else if (type != "update_display_data") this.outputs.append(element);
    if (id) this.shown.set(id, element);
  }

  // Printed text; what follows a carriage return is written over its line.
  prints(text, name) {
    let last = this.outputs.lastElementChild;
    if (last?.className != name) this.outputs.append(last = make("pre", { class: name }));
    const whole = (last.dataset.text ?? "") + plain(text);
    last.dataset.text = whole;
    last.textContent = whole.split("\n").map(line => line.replace(/\r$/, "").split("\r").pop()).join("\n");
    this.outputs.scrollTop = this.outputs.scrollHeight;
  }

  complain(words, traceback = []) {
    const lines = plain(traceback.join("\n")).split("\n").filter(line => /^-+> *\d+ /.test(line));
    const where = lines.length ? `\n${lines.at(-1).replace(/^-+> */, "line ")}` : "";
    this.outputs.append(make("pre", { class: "error", role: "alert" }, words + where));
  }
}

function plain(text) { return text.replace(/\x1b\[[0-9;]*m/g, ""); }

function picture(data) {
  const text = name => [data[name] ?? ""].flat().join("");
  const alt = text("text/plain");
  if (data["image/svg+xml"]) return make("img", { alt, src: `data:image/svg+xml,${encodeURIComponent(text("image/svg+xml"))}` });
  if (data["image/png"]) return make("img", { alt, src: `data:image/png;base64,${text("image/png")}` });
  if (!data["text/html"]) return make("pre", { class: "result" }, alt);
  const table = make("div", { class: "table" });
  table.innerHTML = text("text/html");
  return table;
}

function panelOf(slide) {
  const cells = [...LIVE.slides[Reveal.getSlides().indexOf(slide)], { id: "", section: "On this slide", code: "" }, ...LIVE.cells];
  if (!panels.has(slide)) panels.set(slide, new Panel(slide, cells));
  return panels.get(slide);
}

// Before reveal.js, and wherever the focus is: no click is needed.
window.addEventListener("keydown", event => {
  if (event.key != "Enter" || !event.shiftKey || Reveal.isOverview()) return;
  event.preventDefault();
  event.stopImmediatePropagation();
  const panel = panelOf(Reveal.getCurrentSlide());
  panel.open();
  if (!panel.code.value.trim()) return panel.code.focus();
  panel.code.blur();  // so that the next key turns the slide
  panel.run();
}, true);
window.addEventListener("load", () => {
  Reveal.on("fragmentshown", () => panels.get(Reveal.getCurrentSlide())?.close());
  connect().catch(() => {});  // it starts while the title is shown; a run says what is wrong
});
})();
