// The page: fetches openapi.json next to itself, shows it, and tries it out.
// Whatever the document says reaches the page as text nodes and attribute
// values, never as markup; the policy that comes with the page forbids the rest.
(function () {
"use strict";

const METHODS = ["get", "head", "put", "post", "delete"];
const MAX_SHOWN = 200000; // characters of a body
const MAX_WAIT = 30000; // milliseconds for an answer
const BASE = new URL("openapi.json", location.href);
const $ = (id) => document.getElementById(id);

let spec;
const ops = []; // {id, method, path, op, section, link, open, words}

// ---- Elements ----

// el builds an element. "on…" adds a listener; strings become text nodes.
function el(tag, attributes, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes || {})) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.flat(Infinity).filter((c) => c !== undefined && c !== null && c !== false));
  return node;
}

// prose sets text in `backquotes` as code.
function prose(tag, attributes, text) {
  const parts = String(text || "").split("`");
  return el(tag, attributes, parts.map((p, i) => (i % 2 ? el("code", null, p) : p)));
}

// template sets the parameters of a path apart.
function template(path) {
  return el("span", { class: "path" }, path.split(/(\{[^}]*\})/).map((p) => (p[0] === "{" ? el("b", null, p) : p)));
}

// copier is a button that copies what text() returns. Without the clipboard,
// which browsers deny to pages served from afar without TLS, it selects target.
function copier(text, target) {
  const button = el("button", { type: "button", class: "quiet", onclick: async () => {
    let done = "Copied";
    try {
      await navigator.clipboard.writeText(text());
    } catch {
      getSelection().selectAllChildren(target);
      done = "Selected";
    }
    button.textContent = done;
    setTimeout(() => { button.textContent = "Copy"; }, 1500);
  } }, "Copy");
  return button;
}

// ---- JSON ----

// parse keeps numbers that a double cannot hold as they were written.
function parse(text) {
  return JSON.parse(text, (key, value, context) =>
    (typeof value === "number" && context && JSON.rawJSON && String(value) !== context.source ? JSON.rawJSON(context.source) : value));
}

const TOKENS = /("(?:[^"\\]|\\.)*")(\s*:)?|-?\d[\d.eE+-]*|true|false|null|[{}[\],]/g;

// pretty lays out JSON text anew, token by token, so that no number changes.
// What is not JSON stays as it is.
function pretty(text) {
  const out = document.createDocumentFragment();
  try {
    JSON.parse(text);
  } catch {
    out.append(text);
    return out;
  }
  let depth = 0, last = "";
  const line = () => "\n" + "  ".repeat(depth);
  const span = (kind, t) => el("span", { class: kind }, t);
  for (const [token, string, colon] of text.matchAll(TOKENS)) {
    const closing = token === "}" || token === "]", opened = last === "{" || last === "[";
    if (closing) depth--;
    if (closing ? !opened : opened) out.append(line());
    if (string) out.append(...(colon ? [span("k", string), ": "] : [span("s", string)]));
    else if (token === ",") out.append(",", line());
    else if ("{[}]".includes(token)) out.append(token);
    else out.append(span(/[\d-]/.test(token[0]) ? "n" : "w", token));
    if (token === "{" || token === "[") depth++;
    last = token;
  }
  return out;
}

// deref follows a reference within the document.
function deref(node) {
  for (let i = 0; node && node.$ref && i < 16; i++) {
    node = node.$ref.slice(2).split("/").reduce((n, key) => n && n[key.replace(/~1/g, "/").replace(/~0/g, "~")], spec);
  }
  return node || {};
}

// ---- Description ----

// typeName says what a schema allows, in a word or two.
function typeName(schema) {
  const s = deref(schema);
  if (s.const !== undefined) return JSON.stringify(s.const);
  if (s.enum) return s.enum.map((v) => JSON.stringify(v)).join(" | ");
  if (s.anyOf || s.oneOf) return (s.anyOf || s.oneOf).map(typeName).join(" or ");
  const type = [].concat(s.type || "any").join(" or ");
  if (s.type === "array" && s.items) return "array of " + typeName(s.items);
  return s.format ? type + " (" + s.format + ")" : type;
}

// bounds says what else a schema demands.
function bounds(schema) {
  const s = deref(schema);
  return [
    s.minimum !== undefined && "at least " + s.minimum,
    s.maximum !== undefined && "at most " + s.maximum,
    s.minItems > 1 && "at least " + s.minItems + " items",
    s.maxItems !== undefined && "at most " + s.maxItems + " items",
    s.pattern && "matching " + s.pattern,
  ].filter(Boolean).join(", ");
}

function field(name, schema, required, description, depth, place) {
  const limits = bounds(schema);
  return el("li", null,
    el("span", { class: "name" }, name), el("span", { class: "type" }, (place || "") + typeName(schema) + (limits ? ", " + limits : "")),
    required && el("span", { class: "must" }, "required"),
    description && prose("p", { class: "note" }, description),
    depth < 6 && fields(schema, depth + 1));
}

// fields lists the members of an object, or of an array's objects.
function fields(schema, depth) {
  let s = deref(schema);
  const variants = s.anyOf || s.oneOf;
  if (variants) s = deref(variants.find((v) => deref(v).properties || deref(v).items) || {});
  if (s.items) return fields(s.items, depth);
  if (!s.properties) return null;
  return el("ul", { class: "fields" }, Object.entries(s.properties).map(([name, p]) =>
    field(name, p, (s.required || []).includes(name), deref(p).description, depth)));
}

function section(title, ...content) {
  return [el("h4", null, title), ...content];
}

function describeSchema(schema) {
  const members = fields(schema, 0);
  return [prose("p", { class: "note" }, [typeName(schema), bounds(schema)].filter(Boolean).join(", ")), members];
}

function describeContent(content) {
  return Object.entries(content || {}).map(([type, media]) => [
    el("span", { class: "label" }, type),
    Object.values(media.examples || {}).map((e) => [
      e.summary && prose("p", { class: "note caption" }, e.summary),
      el("pre", { tabindex: "0" }, typeof e.value === "string" ? e.value : pretty(JSON.stringify(e.value))),
    ]),
    el("details", { class: "more", open: !media.examples }, el("summary", null, "Schema"), describeSchema(media.schema)),
  ]);
}

function describeResponse(code, reference, open) {
  const r = deref(reference);
  const headers = Object.entries(r.headers || {});
  return el("details", { class: "answer", open },
    el("summary", null, el("span", { class: "code c" + code[0] }, code === "default" ? "other" : code), prose("span", null, r.description)),
    el("div", null,
      describeContent(r.content),
      headers.length > 0 && el("details", { class: "more" }, el("summary", null, "Headers"),
        el("ul", { class: "fields" }, headers.map(([name, h]) => field(name, deref(h).schema, false, deref(h).description, 6))))));
}

function describe(entry) {
  const { op } = entry;
  const parameters = (op.parameters || []).map(deref);
  const body = deref(op.requestBody);
  return el("div", { class: "tell" },
    op.description && prose("p", null, op.description),
    op.security && prose("p", { class: "note" }, "Needs a bearer token with scope `write`."),
    parameters.length > 0 && section("Parameters", el("ul", { class: "fields" }, parameters.map((p) =>
      field(p.name, p.schema, p.required, p.description, 0, p.in + ", ")))),
    op.requestBody && section("Request body", body.description && prose("p", { class: "note" }, body.description), describeContent(body.content)),
    section("Responses", Object.entries(op.responses).map(([code, r], i) => describeResponse(code, r, i === 0))));
}

// ---- Try it ----

function text(value) {
  return value === undefined ? "" : typeof value === "string" ? value : JSON.stringify(value);
}

function label(p) {
  return el("span", null, el("span", { class: "name" }, p.name), el("span", { class: "type" }, p.in),
    p.required && el("span", { class: "must" }, "required"));
}

// input is a control for a parameter: its node, and values() as they will be sent.
function input(p, changed) {
  const numeric = deref(deref(p.schema).items || p.schema).type === "integer";
  const control = (value) => el("input", { type: "text", value, inputmode: numeric && "numeric", autocomplete: "off", autocapitalize: "off", spellcheck: "false", oninput: changed, "aria-label": p.name });
  if (deref(p.schema).type !== "array") {
    const one = control(text(p.example));
    return { p, node: el("label", { class: "field" }, label(p), one), values: () => (p.in === "path" || one.value !== "" ? [one.value] : []) };
  }
  const rows = el("div");
  const add = (value, focus) => {
    const one = control(value);
    const row = el("div", { class: "row" }, one, el("button", { type: "button", class: "quiet", "aria-label": "Remove this value", onclick: () => { row.remove(); changed(); } }, "Remove"));
    rows.append(row);
    if (focus) one.focus();
  };
  [].concat(p.example || "").forEach((v) => add(text(v)));
  return {
    p,
    node: el("fieldset", null, el("legend", null, label(p)), rows, el("button", { type: "button", class: "quiet", onclick: () => { add("", true); changed(); } }, "Add a value")),
    values: () => [...rows.querySelectorAll("input")].map((i) => i.value),
  };
}

// editor is the control for a request body.
function editor(op, changed) {
  if (!op.requestBody) return null;
  const content = deref(op.requestBody).content;
  const area = el("textarea", { spellcheck: "false", autocapitalize: "off", "aria-label": "Request body", oninput: changed });
  const sample = (type) => {
    const first = Object.values(content[type].examples || {})[0];
    area.value = !first ? "" : typeof first.value === "string" && type !== "application/json" ? first.value : pretty(JSON.stringify(first.value)).textContent;
  };
  const types = Object.keys(content);
  const type = el("select", { "aria-label": "Content type", onchange: () => { sample(type.value); changed(); } }, types.map((t) => el("option", null, t)));
  sample(types[0]);
  return { node: el("div", { class: "field" }, el("span", null, el("span", { class: "name" }, "Body"), types.length === 1 && el("span", { class: "type" }, types[0])), types.length > 1 && el("div", { class: "row" }, type), area), area, type };
}

// request gathers what the form says into what fetch and curl need.
function request(entry, inputs, body) {
  const query = [], headers = [];
  let path = entry.path;
  for (const { p, values } of inputs) {
    for (const v of values()) {
      if (p.in === "path") path = path.replace("{" + p.name + "}", () => encodeURIComponent(v));
      else if (p.in === "query") query.push(encodeURIComponent(p.name) + "=" + encodeURIComponent(v));
      else headers.push([p.name, v]);
    }
  }
  if (body) headers.push(["Content-Type", body.type.value]);
  const url = BASE.href.slice(0, BASE.href.lastIndexOf("/")) + path + (query.length ? "?" + query.join("&") : "");
  return { url, method: entry.method.toUpperCase(), headers, body: body ? body.area.value : undefined };
}

const quote = (s) => "'" + s.replace(/'/g, "'\\''") + "'";

// curl writes the request as a command. It names the token, and does not show it.
function curl(entry, r) {
  const method = { GET: "", HEAD: " --head" }[r.method] ?? " --request " + r.method;
  const parts = ["curl --include" + method + " " + quote(r.url)];
  if (entry.op.security) parts.push('--header "Authorization: Bearer $TOKEN"');
  for (const [name, value] of r.headers) parts.push("--header " + quote(name + ": " + value));
  if (r.body !== undefined) parts.push("--data-binary " + quote(r.body));
  return parts.join(" \\\n  ");
}

async function send(entry, r, signal) {
  const headers = new Headers(r.headers);
  if (entry.op.security && $("token").value) headers.set("Authorization", "Bearer " + $("token").value);
  const begin = performance.now();
  const response = await fetch(r.url, { method: r.method, headers, body: r.body, signal, cache: "no-store", redirect: "manual" });
  const body = await response.text();
  return { response, body, took: performance.now() - begin };
}

function showAnswer(target, { response, body, took }) {
  const shown = body.length > MAX_SHOWN ? body.slice(0, MAX_SHOWN) + "\n…" : body;
  const pre = el("pre", { tabindex: "0", class: "body" }, pretty(shown));
  const headers = [...response.headers];
  target.replaceChildren(
    el("p", { class: "outcome", role: "status" },
      el("strong", { class: "c" + String(response.status)[0] }, (response.status + " " + response.statusText).trim()),
      el("span", null, took.toFixed(took < 10 ? 1 : 0) + " ms"), el("span", null, new Blob([body]).size.toLocaleString("en") + " bytes")),
    body ? el("div", null, el("div", { class: "split" }, el("span", { class: "label" }, "Body"), copier(() => body, pre)), pre) : el("p", { class: "note" }, "No body."),
    el("details", { class: "more", open: true }, el("summary", null, headers.length + " headers"),
      el("dl", { class: "pairs" }, headers.map(([name, value]) => [el("dt", null, name), el("dd", null, value)]))));
  target.hidden = false;
}

function showFailure(target, message) {
  target.replaceChildren(el("p", { class: "outcome", role: "status" }, el("strong", { class: "c5" }, "No answer"), el("span", null, message)));
  target.hidden = false;
}

function tryIt(entry) {
  const command = el("pre", { class: "curl", tabindex: "0" });
  const refresh = () => { command.textContent = curl(entry, request(entry, inputs, body)); };
  const inputs = (entry.op.parameters || []).map((p) => input(deref(p), refresh));
  const body = editor(entry.op, refresh);
  const button = el("button", { type: "submit", class: "send" }, "Send");
  const cancel = el("button", { type: "button", hidden: true, onclick: () => running && running.abort() }, "Cancel");
  const result = el("div", { class: "result", hidden: true });
  let running = null;
  const submit = async (event) => {
    event.preventDefault();
    if (running) return;
    running = new AbortController();
    const timer = setTimeout(() => running.abort(), MAX_WAIT);
    cancel.hidden = false;
    try {
      showAnswer(result, await send(entry, request(entry, inputs, body), running.signal));
    } catch (e) {
      showFailure(result, e.name === "AbortError" ? "The request was cancelled or took too long." : "The server could not be reached (" + e.message + ").");
    }
    result.scrollIntoView({ block: "nearest" });
    clearTimeout(timer);
    cancel.hidden = true;
    running = null;
  };
  const form = el("form", { onsubmit: submit, onkeydown: (e) => { if (e.key === "Enter" && (e.ctrlKey || e.metaKey)) submit(e); } },
    inputs.map((i) => i.node), body && body.node,
    el("div", { class: "actions" }, button, cancel),
    el("div", { class: "split" }, el("span", { class: "label" }, "As a command"), copier(() => command.textContent, command)), command);
  refresh();
  return el("div", { class: "try" }, section("Try it"), form, result);
}

// ---- Page ----

function toggle(entry, open) {
  if (open && !entry.body.firstChild) entry.body.append(describe(entry), tryIt(entry));
  entry.body.hidden = !open;
  entry.button.setAttribute("aria-expanded", String(open));
  if (open) mark(entry);
}

// mark makes an operation the current one in the list beside.
function mark(entry) {
  ops.forEach((o) => (o === entry ? o.link.setAttribute("aria-current", "true") : o.link.removeAttribute("aria-current")));
}

function operation(method, path, op) {
  const id = op.operationId;
  const badge = (short) => el("span", { class: "method " + method }, short && method === "delete" ? "DEL" : method.toUpperCase());
  const entry = { id, method, path, op, words: [method, path, id, op.summary, op.description].join(" ").toLowerCase() };
  entry.body = el("div", { class: "op-body", id: id + "-body", hidden: true });
  entry.button = el("button", { type: "button", class: "op-head", "aria-expanded": "false", "aria-controls": id + "-body", onclick: () => {
    toggle(entry, entry.body.hidden);
    if (!entry.body.hidden) history.replaceState(null, "", "#" + id);
  } }, badge(), template(path), el("span", { class: "summary" }, op.summary || ""));
  entry.section = el("section", { class: "op", id },
    el("h3", null, entry.button, el("a", { class: "anchor", href: "#" + id, "aria-label": "Link to " + (op.summary || id) }, "#")), entry.body);
  entry.link = el("a", { href: "#" + id, onclick: () => toggle(entry, true) }, badge(true), el("span", null, op.summary || path));
  return entry;
}

function build() {
  const groups = new Map((spec.tags || []).map((t) => [t.name, { tag: t, entries: [] }]));
  for (const [path, item] of Object.entries(spec.paths)) {
    for (const method of METHODS.filter((m) => item[m])) {
      const entry = operation(method, path, item[method]);
      const name = (item[method].tags || ["other"])[0];
      if (!groups.has(name)) groups.set(name, { tag: { name }, entries: [] });
      groups.get(name).entries.push(entry);
      ops.push(entry);
    }
  }
  for (const { tag, entries } of groups.values()) {
    const nav = el("section", null, el("h2", null, tag.name), entries.map((e) => e.link));
    const main = el("section", { class: "tag" }, el("h2", null, tag.name), tag.description && prose("p", null, tag.description), entries.map((e) => e.section));
    entries.forEach((e) => { e.groups = [nav, main]; });
    $("nav").append(nav);
    $("operations").append(main);
  }
  $("intro").append(spec.info.description ? prose("p", null, spec.info.description) : "",
    el("p", { class: "facts" }, el("span", null, "Version " + spec.info.version), el("span", null, "OpenAPI " + spec.openapi), el("a", { href: "openapi.json" }, "openapi.json")));
  $("access").hidden = !(spec.components && spec.components.securitySchemes);
  $("state").hidden = true;
}

function filter() {
  const words = $("filter").value.toLowerCase().split(/\s+/).filter(Boolean);
  const groups = new Set(ops.flatMap((o) => o.groups));
  groups.forEach((g) => { g.hidden = true; });
  let found = 0;
  for (const o of ops) {
    const hit = words.every((w) => o.words.includes(w));
    o.section.hidden = o.link.hidden = !hit;
    if (hit) { found++; o.groups.forEach((g) => { g.hidden = false; }); }
  }
  $("state").hidden = found > 0;
  $("state").textContent = found > 0 ? found + " operations" : "No operation matches. Escape clears the filter.";
}

// follow opens the operation that the address names.
function follow() {
  const entry = ops.find((o) => "#" + o.id === decodeURIComponent(location.hash));
  if (!entry) return false;
  if (entry.section.hidden) { $("filter").value = ""; filter(); }
  toggle(entry, true);
  entry.section.scrollIntoView();
  return true;
}

function keys(event) {
  const typing = /^(INPUT|TEXTAREA|SELECT)$/.test(event.target.tagName);
  if (event.key === "/" && !typing && !event.ctrlKey && !event.metaKey && !event.altKey) {
    event.preventDefault();
    $("filter").focus();
  } else if (event.key === "Escape" && event.target === $("filter")) {
    event.target.value = "";
    filter();
  }
}

async function start() {
  try {
    const response = await fetch(BASE, { signal: AbortSignal.timeout(MAX_WAIT) });
    if (!response.ok) throw new Error("the server answered " + response.status);
    spec = parse(await response.text());
  } catch (e) {
    $("state").textContent = "openapi.json could not be loaded: " + e.message + ". Reload the page to try again.";
    return;
  }
  build();
  $("filter").addEventListener("input", filter);
  $("access").addEventListener("submit", (e) => e.preventDefault());
  addEventListener("keydown", keys);
  addEventListener("hashchange", follow);
  if (!follow() && ops.length && matchMedia("(min-width: 821px)").matches) toggle(ops[0], true);
}

start();
})();
