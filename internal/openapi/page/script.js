// The page: fetches openapi.json next to itself, shows it, and tries it out.
// Whatever the document says reaches the page as text nodes and attribute
// values, never as markup; the policy that comes with the page forbids the rest.
(function () {
"use strict";

const METHODS = ["get", "head", "put", "post", "delete"];
const MAX_SHOWN = 200000; // characters of a body
const MAX_USERS = 24; // operations that a schema lists
const MAX_WAIT = 30000; // milliseconds for an answer
const SCHEMAS = "#/components/schemas/";
const BASE = new URL("openapi.json", location.href);
const ORIGIN = BASE.href.slice(0, BASE.href.lastIndexOf("/")); // of all that is served, without a slash
const $ = (id) => document.getElementById(id);

let spec;
const entries = []; // what can be opened, operations and schemas: {id, section, body, button, link, make, words, groups}

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
function copier(what, text, target) {
  const button = el("button", { type: "button", class: "quiet", "aria-label": "Copy " + what, onclick: async () => {
    let done = "Copied";
    try {
      await navigator.clipboard.writeText(text());
    } catch {
      getSelection().selectAllChildren(target);
      done = "Selected";
    }
    button.textContent = $("told").textContent = done;
    setTimeout(() => { button.textContent = "Copy"; $("told").textContent = ""; }, 1500);
  } }, "Copy");
  return button;
}

// copied is a line that is made to be copied, below its name.
const copied = (name, what, pre) => [el("div", { class: "split" }, el("span", { class: "label" }, name), copier(what, () => pre.textContent, pre)), pre];

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

// named is the name of the schema that a reference is about, "" for any other.
function named(schema) {
  const ref = (schema && schema.$ref) || "";
  return ref.startsWith(SCHEMAS) ? ref.slice(SCHEMAS.length) : "";
}

// type says what a schema allows, in a word or two; what has a name is a link.
function type(schema) {
  const name = named(schema), s = deref(schema);
  if (name) return el("a", { href: "#schema-" + name }, name);
  if (s.const !== undefined) return JSON.stringify(s.const);
  if (s.enum) return s.enum.map((v) => JSON.stringify(v)).join(" | ");
  if (s.anyOf || s.oneOf) return (s.anyOf || s.oneOf).map((v, i) => [i > 0 && " or ", type(v)]);
  if (s.type === "array" && s.items) return ["array of ", type(s.items)];
  const kind = [].concat(s.type || "any").join(" or ");
  return s.format ? kind + " (" + s.format + ")" : kind;
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
    s.additionalProperties === false && "no other members",
  ].filter(Boolean).join(", ");
}

function field(name, schema, required, description, depth, place) {
  const limits = bounds(schema);
  return el("li", null,
    el("span", { class: "name" }, name), el("span", { class: "type" }, place, type(schema), limits && ", " + limits),
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
  const limits = bounds(schema);
  return [el("p", { class: "note" }, type(schema), limits && ", " + limits), fields(schema, 0)];
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

// responses lists answers one by one, and folds the refusals, which are many and alike.
function responses(all) {
  const refused = all.filter(([code, r]) => deref(r).content && deref(r).content["application/problem+json"]);
  const answers = all.filter((a) => !refused.includes(a));
  return section("Responses", answers.map(([code, r], i) => describeResponse(code, r, i === 0)),
    refused.length > 0 && el("details", { class: "more refusals" },
      el("summary", null, refused.length + " refusals: " + refused.map(([code]) => (code === "default" ? "others" : code)).join(", ")),
      refused.map(([code, r]) => describeResponse(code, r, false))));
}

function describe(op) {
  const parameters = (op.parameters || []).map(deref);
  const body = deref(op.requestBody);
  return el("div", { class: "tell" },
    op.description && prose("p", null, op.description),
    op.security && el("p", { class: "note" }, "Needs a bearer token with scope ", el("code", null, "write"), ". ", el("button", { type: "button", class: "quiet", onclick: () => $("token").focus() }, "Enter one")),
    parameters.length > 0 && section("Parameters", el("ul", { class: "fields" }, parameters.map((p) =>
      field(p.name, p.schema, p.required, p.description, 0, p.in + ", ")))),
    op.requestBody && section("Request body", body.description && prose("p", { class: "note" }, body.description), describeContent(body.content)),
    responses(Object.entries(op.responses)));
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
    one.removeAttribute("aria-label"); // it has a label
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
  const url = ORIGIN + path + (query.length ? "?" + query.join("&") : "");
  return { url, path, method: entry.method.toUpperCase(), headers, body: body ? body.area.value : undefined };
}

const quote = (s) => "'" + s.replace(/'/g, "'\\''") + "'";

// curl writes the request as a command for a shell. It names the token, and does not show it.
// A body goes as it is, with --data-raw: of the other options a leading @ would name a file.
function curl(entry, r) {
  const method = { GET: "", HEAD: " --head" }[r.method] ?? " --request " + r.method;
  const parts = ["curl --include" + method + " " + quote(r.url)];
  if (/[[\]{}]/.test(r.url.slice(ORIGIN.length))) parts[0] = parts[0].replace("curl", "curl --globoff");
  if (entry.op.security) parts.push('--header "Authorization: Bearer $HEARTH_TOKEN"');
  for (const [name, value] of r.headers) parts.push("--header " + quote(name + ": " + value));
  if (r.body !== undefined) parts.push("--data-raw " + quote(r.body));
  return parts.join(" \\\n  ");
}

// token is what was typed, without the scheme that may have been copied with it.
const token = () => $("token").value.trim().replace(/^bearer\s+/i, "");

async function send(entry, r, signal) {
  const headers = new Headers(r.headers);
  if (entry.op.security && token()) headers.set("Authorization", "Bearer " + token());
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
    body ? el("div", null, el("div", { class: "split" }, el("span", { class: "label" }, "Body"), copier("the body", () => body, pre)), pre) : el("p", { class: "note" }, "No body."),
    el("details", { class: "more", open: true }, el("summary", null, headers.length + " headers"),
      el("dl", { class: "pairs" }, headers.map(([name, value]) => [el("dt", null, name), el("dd", null, value)]))));
  target.hidden = false;
}

function showFailure(target, message) {
  target.replaceChildren(el("p", { class: "outcome", role: "status" }, el("strong", { class: "c5" }, "No answer"), el("span", null, message)));
  target.hidden = false;
}

// explainer tells how to ask why a read is answered as it is. The public listener does not
// say where operators are served, but to a reader who is on the server's own machine.
function explainer(entry) {
  if (entry.method !== "get" || !entry.path.includes("{")) return null;
  const command = el("pre", { class: "curl explain", tabindex: "0" });
  const dashboard = document.body.dataset.dashboard;
  const link = dashboard && /^(localhost|127(\.\d+){3}|\[::1\])$/.test(location.hostname) && el("a", { target: "_blank", rel: "noopener noreferrer" }, "Explain it on the dashboard");
  return {
    node: [copied("Why it is answered so (on the server)", "the command that explains", command), link && el("p", { class: "note below" }, link)],
    show: (path) => {
      command.textContent = "hearth explain " + (/^[\w./%~@:-]+$/.test(path) ? path : quote(path));
      if (link) link.href = dashboard + "#explain=" + encodeURIComponent(path);
    },
  };
}

function tryIt(entry) {
  const command = el("pre", { class: "curl", tabindex: "0" });
  const why = explainer(entry);
  const refresh = () => {
    const r = request(entry, inputs, body);
    command.textContent = curl(entry, r);
    if (why) why.show(r.path);
  };
  const inputs = (entry.op.parameters || []).map((p) => input(deref(p), refresh));
  const conditions = inputs.filter((i) => i.p.in === "header");
  const body = editor(entry.op, refresh);
  const button = el("button", { type: "submit", class: "send" }, "Send");
  const cancel = el("button", { type: "button", hidden: true, onclick: () => running && running.abort() }, "Cancel");
  const result = el("div", { class: "result", hidden: true });
  let running = null;
  const submit = async (event) => {
    event.preventDefault();
    if (running) return;
    if (entry.op.security && !/^[!-~]*$/.test(token())) return showFailure(result, "The token has characters that no token has.");
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
    inputs.filter((i) => i.p.in !== "header").map((i) => i.node), body && body.node,
    conditions.length > 0 && el("details", { class: "more" }, el("summary", null, "Conditions"), el("div", null, conditions.map((i) => i.node))),
    el("div", { class: "actions" }, button, cancel, entry.op.security && el("span", { class: "note needs" })),
    copied("As a command", "the command", command), why && why.node);
  refresh();
  return el("div", { class: "try" }, section("Try it"), form, result);
}

// ---- Page ----

function toggle(entry, open) {
  if (open && !entry.body.firstChild) entry.body.append(...entry.make(entry));
  entry.body.hidden = !open;
  entry.button.setAttribute("aria-expanded", String(open));
  if (open) { mark(entry); tellNeeds(); }
}

// mark makes an entry the current one in the list beside.
function mark(entry) {
  entries.forEach((o) => (o === entry ? o.link.setAttribute("aria-current", "true") : o.link.removeAttribute("aria-current")));
}

// tellNeeds tells beside each button what becomes of a request that needs a token.
function tellNeeds() {
  const text = token() ? "Sends the token." : "Without a token this is answered 401.";
  document.querySelectorAll(".needs").forEach((n) => { n.textContent = text; });
  $("forget").hidden = !$("token").value;
}

function forget() {
  $("token").value = "";
  tellNeeds();
}

// panel is what can be opened: a line with a body, and a link to it in the list beside.
function panel({ id, head, beside, title, words, make, ...more }) {
  const entry = { id, make, words: words.join(" ").toLowerCase(), ...more };
  entry.body = el("div", { class: "op-body", id: id + "-body", hidden: true });
  entry.button = el("button", { type: "button", class: "op-head", "aria-expanded": "false", "aria-controls": id + "-body", onclick: () => {
    toggle(entry, entry.body.hidden);
    if (!entry.body.hidden) history.replaceState(null, "", "#" + id);
  } }, head);
  entry.section = el("section", { class: "op", id },
    el("h3", null, entry.button, el("a", { class: "anchor", href: "#" + id, "aria-label": "Link to " + title }, "#")), entry.body);
  entry.link = el("a", { href: "#" + id, onclick: () => toggle(entry, true) }, beside);
  entries.push(entry);
  return entry;
}

function operation(method, path, op) {
  const badge = (short) => el("span", { class: "method " + method }, short && method === "delete" ? "DEL" : method.toUpperCase());
  const title = op.summary || path;
  return panel({
    id: op.operationId, method, path, op, title,
    words: [method, path, op.operationId, op.summary, op.description],
    head: [badge(), template(path), el("span", { class: "summary" }, op.summary)],
    beside: [badge(true), el("span", null, title)],
    make: (entry) => [describe(op), tryIt(entry)],
  });
}

// schema is a component of the document.
function schema(name, s) {
  return panel({
    id: "schema-" + name, title: name, words: ["schema", name, ...Object.keys(s.properties || {})],
    head: [el("span", { class: "path" }, name), el("span", { class: "summary" }, summarise(s))],
    beside: el("span", { class: "mono" }, name),
    make: () => {
      const users = usersOf(SCHEMAS + name);
      return [el("div", { class: "tell" }, s.description && prose("p", null, s.description), describeSchema(s)),
        el("div", { class: "try" }, section("Used by"),
          el("ul", null, users.slice(0, MAX_USERS).map((e) => el("li", null, el("a", { class: "mono", href: "#" + e.id }, e.method.toUpperCase() + " " + e.path)))),
          users.length > MAX_USERS && el("p", { class: "note" }, "and " + (users.length - MAX_USERS) + " more"))];
    },
  });
}

// usersOf are the operations that refer to a component, or to another one that does.
function usersOf(reference) {
  const found = new Set([JSON.stringify(reference)]);
  const refers = (part) => { const text = JSON.stringify(part); return [...found].some((f) => text.includes(f)); };
  const parts = ["schemas", "responses"].flatMap((kind) => Object.entries(spec.components[kind] || {}).map(([name, part]) => [JSON.stringify("#/components/" + kind + "/" + name), part]));
  for (let before = 0; before < found.size;) {
    before = found.size;
    parts.forEach(([name, part]) => { if (!found.has(name) && refers(part)) found.add(name); });
  }
  return entries.filter((e) => e.op && refers(e.op));
}

// summarise is a schema in half a line: its members, as far as they fit.
function summarise(s) {
  const names = Object.keys(s.properties || {});
  if (names.length) return names.slice(0, 4).join(", ") + (names.length > 4 ? ", …" : "");
  return el("span", null, type(s)).textContent;
}

// group is a heading with entries below, in the page and in the list beside.
function group(name, description, all) {
  const nav = el("section", null, el("h2", null, name), all.map((e) => e.link));
  const main = el("section", { class: "tag" }, el("h2", null, name), description && prose("p", null, description), all.map((e) => e.section));
  all.forEach((e) => { e.groups = [nav, main]; });
  $("nav").append(nav);
  $("operations").append(main);
}

function build() {
  const groups = new Map((spec.tags || []).map((t) => [t.name, { ...t, entries: [] }]));
  for (const [path, item] of Object.entries(spec.paths)) {
    for (const method of METHODS.filter((m) => item[m])) {
      const name = (item[method].tags || ["other"])[0];
      if (!groups.has(name)) groups.set(name, { name, entries: [] });
      groups.get(name).entries.push(operation(method, path, item[method]));
    }
  }
  groups.forEach((g) => group(g.name, g.description, g.entries));
  const schemas = Object.entries((spec.components || {}).schemas || {});
  if (schemas.length) group("Schemas", "The shapes of bodies that operations take and answer with.", schemas.map(([name, s]) => schema(name, s)));
  $("intro").append(spec.info.description ? prose("p", null, spec.info.description) : "",
    el("p", { class: "facts" }, el("span", null, "Version " + spec.info.version), el("span", null, "OpenAPI " + spec.openapi), el("a", { href: "openapi.json" }, "openapi.json")));
  $("access").hidden = !(spec.components && spec.components.securitySchemes);
  $("state").hidden = true;
}

function filter() {
  const words = $("filter").value.toLowerCase().split(/\s+/).filter(Boolean);
  const groups = new Set(entries.flatMap((o) => o.groups));
  groups.forEach((g) => { g.hidden = true; });
  let found = 0;
  for (const o of entries) {
    const hit = words.every((w) => o.words.includes(w));
    o.section.hidden = o.link.hidden = !hit;
    if (hit) { found++; o.groups.forEach((g) => { g.hidden = false; }); }
  }
  $("state").hidden = found > 0;
  $("state").textContent = found > 0 ? "" : "Nothing matches. Escape clears the filter.";
}

// follow opens what the address names.
function follow() {
  const entry = entries.find((o) => location.hash === "#" + o.id || location.hash === "#" + encodeURIComponent(o.id));
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
  $("state").hidden = $("tools").hidden = false;
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
  $("token").addEventListener("input", tellNeeds);
  $("forget").addEventListener("click", forget);
  addEventListener("pagehide", forget); // a page that comes back from the browser's cache has none
  addEventListener("keydown", keys);
  addEventListener("hashchange", follow);
  if (!follow() && entries.length && matchMedia("(min-width: 821px)").matches) toggle(entries[0], true);
}

start();
})();
