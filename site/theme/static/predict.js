// Predictions: answered on the page as the notebook's check answers, from the table that the build took from it.
"use strict";
(() => {
  // A number, or a sum like 16 * (3 * 25 + 1); NaN where it is neither.
  const reckon = text => {
    const plain = text.trim().replace(/[−–]/g, "-").replace(/[×·]/g, "*").replace(/\s*%$/, "")
      .replace(/(\d)[,_ ](?=\d{3}(?!\d))/g, "$1").replace(/(\d),(?=\d)/g, "$1.").replace(/\s/g, "");
    const tokens = plain.match(/\d+\.?\d*(e[-+]?\d+)?|\.\d+|\*\*|[-+*/()]/gi) || [];
    let at = 0;
    const sum = () => {
      let value = product();
      while (tokens[at] === "+" || tokens[at] === "-") value += tokens[at++] === "+" ? product() : -product();
      return value;
    };
    const product = () => {
      let value = signed();
      while (tokens[at] === "*" || tokens[at] === "/") value = tokens[at++] === "*" ? value * signed() : value / signed();
      return value;
    };
    const signed = () => tokens[at] === "-" ? (at++, -signed()) : tokens[at] === "+" ? (at++, signed()) : power();
    const power = () => {
      const base = atom();
      return tokens[at] === "**" ? (at++, base ** signed()) : base;
    };
    const atom = () => {
      const token = tokens[at++] ?? NaN;
      if (token !== "(") return Number(token);
      const value = sum();
      return tokens[at++] === ")" ? value : NaN;
    };
    const value = sum();
    return tokens.join("") === plain && at === tokens.length && Number.isFinite(value) ? value : NaN;
  };
  // As Python's format(value, ",.10g").
  const shown = value => {
    const size = Math.abs(value), short = Number(value.toPrecision(10));
    if (size && (size < 1e-4 || Math.abs(short) >= 1e10))
      return short.toExponential().replace(/e([-+])(\d)$/, "e$10$2");
    const [whole, part] = String(short).split(".");
    return whole.replace(/\B(?=(\d{3})+$)/g, ",") + (part ? `.${part}` : "");
  };
  const near = (value, [other, tolerance]) =>
    Math.abs(value - other) <= Math.max(tolerance * Math.max(Math.abs(value), Math.abs(other)), 1e-12);
  const named = text => text.length > 38 ? "a long str" : `'${text}'`;

  // The hints that reject one part's answer; none if it is right.
  const hints = (part, text) => {
    if (part.wrong)
      return text.trim().toLowerCase() === part.right.toLowerCase() ? [] : [part.wrong[text.trim()]];
    const value = reckon(text);
    if (Number.isNaN(value)) return [`A number is wanted here, not ${named(text)}.`, part.hint];
    if (near(value, part.right)) return [];
    const told = `${shown(value)} ${part.unit || ""}`.trim();
    const slip = (part.known || []).find(one => near(value, one));
    const [right, tolerance] = part.right, close = ratio => Math.abs(ratio - 1) < 0.01;
    let size = value > right ? "too large" : "too small";
    if (!tolerance && value % 1) size = "no whole number";
    for (const times of [1e2, 1e3, 1e6])
      if (value && right && (close(right * times / value) || close(value * times / right)))
        size = `in another unit: a factor of ${times.toLocaleString("en")}`;
    return [slip ? `${told}: ${slip[2]}` : `${told} is ${size}.`, part.hint];
  };
  const judge = (table, texts, tries) => {
    if (texts.some(text => !text.trim())) return { sign: "○", text: "not answered yet" };
    for (const [i, part] of table.parts.entries()) {
      const found = hints(part, texts[i]).filter(Boolean);
      if (!found.length) continue;
      found[0] = `${part.label || ""} ${found[0]}`.trim();
      if (found.length === 1 && table.asked) found.push(`Asked for: ${table.asked}`);
      return { sign: "✗", text: found.slice(0, tries + 1).join(" ") };
    }
    return { sign: "✓", text: table.remark };
  };
  if (typeof document === "undefined") {
    globalThis.judge = judge;  // for the tests
    return;
  }

  const kept = {
    read(key) { try { return JSON.parse(localStorage.getItem(key)) || {}; } catch { return {}; } },
    write(key, value) { try { localStorage.setItem(key, JSON.stringify(value)); return true; } catch { return false; } },
  };
  for (const form of document.querySelectorAll(".predict")) {
    const table = JSON.parse(form.querySelector("script").textContent), key = `prediction ${table.name}`;
    const fields = [...form.querySelectorAll("input, select")], verdict = form.querySelector(".verdict");
    const state = { tries: 0, texts: [], ...kept.read(key) };
    const link = document.querySelector(`#contents a[href="#${form.closest("section")?.id}"]`);
    const tell = more => {
      verdict.textContent = state.line + more;
      verdict.className = `verdict ${{ "✓": "right", "✗": "wrong" }[state.line[0]] || ""}`;
      link?.classList.toggle("read", state.done === true);
    };
    fields.forEach((field, i) => { field.value = state.texts[i] || ""; });
    if (typeof state.line === "string") tell("");
    form.addEventListener("submit", event => {
      event.preventDefault();
      state.texts = fields.map(field => field.value);
      const { sign, text } = judge(table, state.texts, state.tries);
      if (sign !== "○" && !state.done) state.tries += 1;
      state.done = sign === "✓";
      state.line = `${sign} ${table.name} ${text}`;
      if (state.tries > 1 && sign !== "○") state.line += ` (try ${state.tries})`;
      tell(kept.write(key, state) ? "" : " This browser does not keep your answer.");
    });
  }
})();
