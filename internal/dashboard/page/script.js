"use strict";
(() => {
  const $ = id => document.getElementById(id);
  const el = (name, text, cls) => {
    const e = document.createElement(name);
    if (text !== undefined) e.textContent = text;
    if (cls) e.className = cls;
    return e;
  };

  // Theme: what the system says, until somebody chooses.
  const root = document.documentElement;
  let chosen = null;
  try { chosen = localStorage.getItem("hearth-theme"); } catch { /* storage is off */ }
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const applyTheme = () => { root.dataset.theme = chosen || (dark.matches ? "dark" : "light"); };
  applyTheme();
  dark.addEventListener("change", () => { applyTheme(); rebuild(); });
  const colour = name => getComputedStyle(root).getPropertyValue(name).trim();

  // Numbers in words.
  const short = v => {
    if (v === null || v === undefined || Number.isNaN(v)) return "–";
    const a = Math.abs(v);
    if (a >= 1e9) return (v / 1e9).toFixed(2) + " G";
    if (a >= 1e6) return (v / 1e6).toFixed(2) + " M";
    if (a >= 1e4) return (v / 1e3).toFixed(1) + " k";
    return a >= 100 || v === Math.round(v) ? String(Math.round(v)) : v.toFixed(a < 1 ? 3 : 1);
  };
  const bytes = v => {
    if (v === null || v === undefined) return "–";
    for (const [n, u] of [[2 ** 30, "GiB"], [2 ** 20, "MiB"], [2 ** 10, "KiB"]]) if (v >= n) return (v / n).toFixed(v >= 100 * n ? 0 : 1) + " " + u;
    return Math.round(v) + " B";
  };
  const span = s => {
    if (s === null || s === undefined || Number.isNaN(s)) return "–";
    if (s < 1e-3) return (s * 1e6).toFixed(0) + " µs";
    if (s < 1) return (s * 1e3).toFixed(s < 0.1 ? 2 : 0) + " ms";
    if (s < 120) return s.toFixed(s < 10 ? 1 : 0) + " s";
    if (s < 7200) return (s / 60).toFixed(0) + " min";
    return s < 172800 ? (s / 3600).toFixed(1) + " h" : (s / 86400).toFixed(1) + " d";
  };
  const percent = v => v === null || Number.isNaN(v) ? "–" : (100 * v).toFixed(v > 0.9995 && v < 1 ? 3 : 1) + " %";
  const clock = ms => new Date(ms).toLocaleTimeString([], { hour12: false });

  // The data of the plots: arrays of one length, which never grows beyond the span.
  const most = { hour: 3600, day: 8640 };
  let view = "hour", paused = false;
  let kept = [], kinds = {}, times = [], values = {}, heat = [], bounds = [], events = [];
  let last = null, before = null, arrived = 0, broken = "", loading = 0;

  const load = async () => {
    const asked = ++loading;
    let h;
    try {
      const r = await fetch("api/history?span=" + view, { cache: "no-store", credentials: "same-origin" });
      if (!r.ok) throw new Error(r.status === 401 || r.status === 403 ? "the token is no longer valid here" : "history is answered " + r.status);
      h = await r.json();
    } catch (e) {
      broken = String(e.message || e);
      return;
    }
    if (asked !== loading) return;
    broken = "";
    kinds = {};
    for (const c of h.columns) kinds[c.id] = c.kind;
    kept = Object.keys(h.values);
    values = h.values;
    heat = h.latency;
    bounds = h.bounds;
    const n = heat.length;
    times = Array.from({ length: n }, (_, i) => (h.end - (n - 1 - i) * h.step) / 1000);
    events = h.events;
    listEvents();
    rebuild();
  };

  const rate = id => before && last && last.seconds > 0 ? ((last.values[id] || 0) - (before.values[id] || 0)) / last.seconds : null;
  const value = id => last ? last.values[id] || 0 : null;
  const tiers = ["memory", "redis", "embedded", "source", "stale", "none"];

  const take = tick => {
    if (before && last && tick.seq <= last.seq && tick.values.started === last.values.started) return;
    const fresh = !last || tick.values.started !== last.values.started || tick.seq > last.seq + 1;
    before = fresh ? null : last;
    last = tick;
    arrived = performance.now();
    broken = "";
    if (tick.events) {
      events.push(...tick.events.filter(e => !events.some(o => o.at === e.at && o.text === e.text)));
      events.splice(0, Math.max(0, events.length - 512));
      listEvents();
    }
    if (fresh && kept.length && tick.seq > 1) { load(); return; }
    if (view === "hour" && before && kept.length) {
      times.push(tick.at / 1000);
      for (const id of kept) values[id].push(kinds[id] === "counter" ? rate(id) : value(id));
      heat.push(tick.latency || []);
      const over = times.length - most.hour;
      if (over > 0) { times.splice(0, over); heat.splice(0, over); for (const id of kept) values[id].splice(0, over); }
    }
    now();
    if (!paused && !document.hidden) draw();
  };

  // What is wrong, in words; the worst first.
  const troubles = () => {
    const all = [], v = value;
    if (v("draining")) all.push("draining: the server was asked to stop");
    if (!v("redis_up")) all.push("the shared tier cannot be asked");
    if (!v("source_up")) all.push("the database does not answer");
    const down = Object.entries((last.groups || {}).node_up || {}).filter(([, up]) => !up).map(([n]) => n);
    if (down.length && v("redis_up")) all.push("cannot be asked: " + down.slice(0, 3).join(", "));
    if (v("source_read_only")) all.push("the database takes no writes");
    if (v("breakers_open")) all.push("a source is spared after failures");
    if (v("feed_degraded")) all.push("the change feed is lost: copies live shorter");
    if (recent("audit")) all.push("the audit has found answers that were not true");
    if (recent("canary")) all.push("invalidations have arrived late");
    if (v("statement_faults")) all.push("the database refuses statements");
    if (v("writes_unconfirmed")) all.push("writes are not confirmed");
    if (v("readers_waiting_max") && v("readers_waiting") > 0.8 * v("readers_waiting_max")) all.push("nearly as many readers wait as may");
    if (v("connections_max") && v("connections") > 0.9 * v("connections_max")) all.push("nearly as many connections are open as may be");
    if (rate("answers_503") > 0) all.push("requests are refused (503)");
    for (const [name, text] of Object.entries(last.checks || {})) if (!all.length) all.push(name + ": " + text);
    return all;
  };
  const recent = kind => events.some(e => e.kind === kind && !e.good && last.at - e.at < 600000);

  const setText = (e, text) => { if (e.textContent !== text) e.textContent = text; };
  let badSince = 0;
  const state = () => {
    const p = $("state");
    const silent = last ? (performance.now() - arrived) / 1000 : 0;
    if (broken && (!last || silent > 3)) { p.className = "state bad old"; setText(p, "No ticks: " + broken); return; }
    if (!last) return;
    if (silent > 3) {
      p.className = "state bad old";
      setText(p, "No tick for " + (silent < 10 ? "more than 3 s" : "more than " + Math.floor(silent / 10) * 10 + " s") + ": the server does not answer. What follows is old.");
      return;
    }
    const all = troubles();
    if (!all.length) badSince = 0; else if (!badSince) badSince = last.at;
    p.className = all.length ? "state bad" : "state";
    const text = all.join("; ");
    setText(p, all.length ? text[0].toUpperCase() + text.slice(1) + ". Since " + clock(badSince) + "." : "All is well.");
  };

  const quantile = (buckets, q) => {
    const sum = (buckets || []).reduce((n, b) => n + b[1], 0);
    if (!sum || !bounds.length) return null;
    let n = 0;
    for (const [i, c] of buckets) { n += c; if (n >= q * sum) return i < bounds.length ? bounds[i] : Infinity; }
    return null;
  };
  const nines = (ratio, checks) => !checks ? "no checks yet" : ratio >= 1 ? "∞" : (-Math.log10(1 - ratio)).toFixed(2);
  const cells = {};
  const cell = (id, name, text, unit) => {
    if (!cells[id]) {
      const d = el("div"), dd = el("dd"), main = el("span"), small = el("small");
      dd.append(main, " ", small);
      d.append(el("dt", name), dd);
      $("now").append(d);
      cells[id] = [main, small];
    }
    setText(cells[id][0], text);
    setText(cells[id][1], unit || "");
  };
  const now = () => {
    const rates = tiers.map(t => rate("requests_" + t)), total = rates.reduce((a, b) => a + b, 0);
    const known = rates[0] !== null, delay = (rate("delay_seconds") || 0) / (rate("delay_count") || NaN);
    cell("requests", "Requests", known ? short(total) : "–", "/s");
    cell("hits", "From memory", known && total ? percent(rates[0] / total) : "–");
    cell("p99", "Latency p99", span(quantile(last.latency, 0.99)), "in the server");
    cell("delay", "Invalidation delay", last.delay ? span(delay) : lastDelay(), "C1");
    cell("feed", "Feed, oldest change", value("feed_live") ? span(value("feed_oldest")) : value("feed_degraded") ? "lost" : "off", "C7");
    cell("audit", "Audit", nines(value("audit_ratio"), value("audit_window")), value("audit_window") ? "nines, 95 %" : "");
    cell("memory", "Memory", bytes(value("memory_bytes")), "of " + bytes(value("memory_budget")));
    cell("entries", "Entries", short(value("memory_entries")));
    cell("loads", "Loads", short(rate("loads")), "/s");
    cell("waiting", "Readers waiting", short(value("readers_waiting")));
    cell("limited", "Refused by limits", short(rate("limited")), "/s");
    cell("cpu", "Processor", percent(rate("cpu_seconds")), "of one");
    setText($("since"), "up " + span(last.at / 1000 - value("started")) + " · " + clock(last.at));
    groups();
    state();
  };
  const lastDelay = () => {
    const s = values.delay_seconds, c = values.delay_count;
    for (let i = (c || []).length - 1; i >= Math.max(0, (c || []).length - 30); i--) if (c[i]) return span(s[i] / c[i]);
    return "–";
  };

  const row = (body, texts, classes = []) => {
    const tr = el("tr");
    texts.forEach((t, i) => { const td = el("td", t, classes[i]); if (classes[i] === "mono") td.title = t; tr.append(td); });
    body.append(tr);
  };
  const groups = () => {
    const body = $("groups").tBodies[0], g = last.groups || {};
    body.replaceChildren();
    for (const [name, up] of Object.entries(g.node_up || {})) {
      const tracked = (g.node_tracked || {})[name];
      row(body, ["Redis", name, up ? tracked ? "answers, reports changes" : "answers, reports no changes" : "cannot be asked"], ["", "mono", up && tracked ? "ok" : "no"]);
    }
    for (const [name, open] of Object.entries(g.breaker || {})) row(body, ["Source", name, open ? "spared: breaker open" : "asked"], ["", "mono", open ? "no" : "ok"]);
    for (const [name, n] of Object.entries(g.limited || {})) row(body, ["Limit", name, short(n) + " refused"], ["", "mono", ""]);
    if (last.dropped) row(body, ["", "and more", last.dropped + " parts had no room"], ["", "", ""]);
  };
  const listEvents = () => {
    $("happened").replaceChildren(...events.slice(-100).reverse().map(e => {
      const li = el("li"), time = el("time", new Date(e.at).toLocaleString([], { hour12: false }));
      li.append(time, el("span", e.text, e.good ? "ok" : "no"));
      return li;
    }));
    if (!events.length) $("happened").append(el("li", "Nothing yet."));
  };

  // Hot keys.
  let order = "reads";
  for (const o of ["reads", "bytes", "misses", "loads"]) {
    const b = el("button", o);
    b.type = "button";
    b.setAttribute("aria-pressed", o === order);
    b.addEventListener("click", () => {
      order = o;
      for (const x of $("orders").children) x.setAttribute("aria-pressed", x === b);
      hot();
    });
    $("orders").append(b);
  }
  const hot = async () => {
    if (document.hidden || paused) return;
    try {
      const r = await fetch("api/hot?limit=20&by=" + order, { cache: "no-store", credentials: "same-origin" });
      if (!r.ok) return;
      const body = $("hot").tBodies[0], got = await r.json();
      body.replaceChildren();
      for (const k of got.keys) row(body, [k.key, k.resource, short(k.reads), bytes(k.bytes), short(k.misses), short(k.loads), k.ttl < 0 ? "not in memory" : span(k.ttl)], ["mono"]);
      if (!got.keys.length) row(body, ["nothing was asked for lately", "", "", "", "", "", ""]);
    } catch { /* the state says that nobody answers */ }
  };

  // Explain: what is known is shown by name, whatever it is.
  const facts = (all, prefix, into) => {
    for (const [name, v] of Object.entries(all)) {
      if (name === "next" || v === null) continue;
      if (typeof v === "object" && !Array.isArray(v)) { facts(v, name === "cache" ? "" : prefix + name + " · ", into); continue; }
      const d = el("div");
      d.append(el("dt", prefix + name.replaceAll("_", " ")), el("dd", String(v)));
      into.append(d);
    }
  };
  $("explain").addEventListener("submit", async e => {
    e.preventDefault();
    $("facts").replaceChildren();
    try {
      const r = await fetch("api/explain?path=" + encodeURIComponent($("path").value), { cache: "no-store", credentials: "same-origin" });
      const got = await r.json();
      if (!r.ok) { $("sentence").textContent = got.detail; return; }
      $("sentence").textContent = "The next GET: " + (got.next.status || "200 or 404") + " from " + got.next.tier + (got.next.detail ? ", marked " + got.next.detail : "") + ". " + got.next.sentence + ".";
      facts(got, "", $("facts"));
    } catch (error) { $("sentence").textContent = "Nobody answers: " + error.message; }
  });

  // The docs page links here with a path: #explain=%2Fuser%2F7.
  const explainLinked = () => {
    const path = new URLSearchParams(location.hash.slice(1)).get("explain");
    if (path === null) return;
    $("path").value = path;
    $("explain").requestSubmit();
    $("explain").scrollIntoView();
  };
  addEventListener("hashchange", explainLinked);
  explainLinked();

  // Plots.
  const per = (a, b) => a.map((x, i) => b[i] ? x / b[i] : null);
  const sum = ids => times.map((_, i) => ids.reduce((n, id) => n === null || values[id][i] === null ? null : n + values[id][i], 0));
  // The largest first, so that each covers what it is a part of: the last one is memory alone.
  const stacked = ids => ids.map((_, i) => sum(ids.slice(0, ids.length - i)));
  const requestIDs = tiers.map(t => "requests_" + t);
  const plots = [
    { id: "requests", title: "Requests by tier, per second", series: tiers.toReversed(), data: () => stacked(requestIDs), fill: true, text: short },
    { id: "ratio", title: "Answered from memory", series: ["share"], data: () => [per(values.requests_memory, sum(requestIDs))], text: percent, range: [0, 1] },
    { id: "heat", title: "Latency in the server", heat: true },
    { id: "delay", title: "Invalidation delay (C1), mean", series: ["delay"], data: () => [per(values.delay_seconds, values.delay_count)], text: span, points: true },
    { id: "feed", title: "Feed (C7): lag, and the oldest change not told", series: ["lag", "oldest"], data: () => [per(values.feed_lag_seconds, values.feed_lag_count), values.feed_oldest], text: span, points: true },
    { id: "audit", title: "Audit, per second", series: ["checks", "disagreements"], data: () => [values.audit_checks, values.audit_stale], text: short },
    { id: "memory", title: "Memory", series: ["used"], data: () => [values.memory_bytes], text: bytes },
    { id: "loads", title: "Loads and waiting readers", series: ["loads/s", "waiting"], data: () => [values.loads, values.readers_waiting], text: short },
    { id: "trouble", title: "Refused and failed, per second", series: ["limits", "5xx"], data: () => [values.limited, values.answers_5xx], text: short },
    { id: "changes", title: "Changes reported, per second", series: ["invalidations"], data: () => [values.invalidations], text: short },
    { id: "connections", title: "Connections", series: ["open"], data: () => [values.connections], text: short },
    { id: "cpu", title: "Processor", series: ["of one"], data: () => [values.cpu_seconds], text: percent },
  ];
  const hue = (p, i) => (p.fill ? p.series.length - 1 - i : i) % 6;
  for (const p of plots) {
    const figure = el("figure"), caption = el("figcaption", p.title);
    p.key = el("span", undefined, "key");
    (p.heat ? [] : p.series).forEach((s, i) => {
      const k = el("span"), dot = el("i");
      dot.style.background = "var(--c" + hue(p, i) + ")";
      k.append(dot, s);
      p.key.append(k);
    });
    caption.append(p.key);
    p.box = el("div", undefined, "plot");
    p.box.setAttribute("role", "img");
    p.box.setAttribute("aria-label", p.title);
    figure.append(caption, p.box);
    $("plots").append(figure);
  }
  const marks = u => {
    const { ctx } = u, { left, top, width, height } = u.bbox;
    ctx.save();
    ctx.lineWidth = devicePixelRatio;
    for (const e of events) {
      const x = u.valToPos(e.at / 1000, "x", true);
      if (x < left || x > left + width) continue;
      ctx.strokeStyle = colour(e.good ? "--good" : "--bad");
      ctx.beginPath(); ctx.moveTo(x, top); ctx.lineTo(x, top + height); ctx.stroke();
    }
    ctx.restore();
  };
  const make = p => {
    const axis = { stroke: colour("--soft"), grid: { stroke: colour("--line"), width: 1 }, ticks: { show: false }, font: "11px system-ui" };
    const series = p.series.map((s, i) => ({
      label: s, stroke: colour("--c" + hue(p, i)), width: 1.5, spanGaps: !!p.points, points: { show: !!p.points, size: 3 },
      fill: p.fill ? colour("--c" + hue(p, i)) : undefined, value: (_, v) => p.text(v),
    }));
    return new uPlot({
      width: p.box.clientWidth || 300, height: 150, legend: { show: false }, cursor: { sync: { key: "hearth" }, y: false, drag: { x: false, y: false } },
      scales: { y: p.range ? { range: p.range } : { range: (_, lo, hi) => [0, hi > 0 ? hi * 1.08 : 1] } },
      axes: [{ ...axis, space: 80, values: (_, all) => all.map(v => clock(v * 1000)) }, { ...axis, size: 62, values: (_, all) => all.map(v => p.text(v)) }],
      series: [{}, ...series], hooks: { draw: [marks], setCursor: [u => legend(p, u)] },
    }, [times, ...p.data()], p.box);
  };
  const legend = (p, u) => {
    const i = u.cursor.idx;
    [...p.key.children].forEach((k, n) => {
      const data = u.data[n + 1], below = u.data[n + 2], under = p.fill && below ? below[i] : 0;
      k.lastChild.textContent = p.series[n] + (i === null || i === undefined || data[i] === null || data[i] === undefined ? "" : " " + p.text(data[i] - under));
    });
  };
  const drawHeat = p => {
    let c = p.box.firstChild;
    if (!c) { c = el("canvas", undefined, "heat"); p.box.append(c); }
    const ratio = devicePixelRatio, w = p.box.clientWidth, h = 150, edge = 62, floor = 18;
    c.width = w * ratio; c.height = h * ratio;
    const g = c.getContext("2d");
    g.scale(ratio, ratio);
    const wide = Math.max(1, w - edge - 4), cols = Math.max(1, Math.min(times.length, Math.floor(wide / 2))), bands = 27;
    const grid = new Float64Array(cols * bands);
    let max = 0;
    heat.forEach((r, i) => {
      const x = Math.min(cols - 1, Math.floor(i * cols / heat.length));
      for (const [b, n] of r) { const at = x * bands + Math.min(bands - 1, (b + 1) >> 1); grid[at] += n; if (grid[at] > max) max = grid[at]; }
    });
    let lo = bands, hi = 0;
    for (let i = 0; i < grid.length; i++) if (grid[i]) { lo = Math.min(lo, i % bands); hi = Math.max(hi, i % bands); }
    if (!max) { lo = 1; hi = 12; }
    const rows = hi - lo + 1, tall = (h - floor) / rows;
    g.fillStyle = colour("--c0");
    for (let x = 0; x < cols; x++) for (let b = lo; b <= hi; b++) {
      const n = grid[x * bands + b];
      if (!n) continue;
      g.globalAlpha = 0.12 + 0.88 * Math.log1p(n) / Math.log1p(max);
      g.fillRect(edge + x * wide / cols, (hi - b) * tall, wide / cols + 0.5, Math.max(1, tall - 0.5));
    }
    g.globalAlpha = 1;
    g.fillStyle = colour("--soft");
    g.font = "11px system-ui";
    g.textAlign = "right";
    const step = Math.max(1, Math.ceil(rows / 6));
    for (let b = lo; b <= hi; b += step) g.fillText(span(512e-9 * 2 ** b), edge - 6, (hi - b) * tall + 10);
    g.textAlign = "left";
    if (times.length) { g.fillText(clock(times[0] * 1000), edge, h - 4); g.textAlign = "right"; g.fillText(clock(times[times.length - 1] * 1000), w - 2, h - 4); }
    for (const e of events) {
      const x = edge + wide * (e.at / 1000 - times[0]) / Math.max(1, times[times.length - 1] - times[0]);
      if (!(x >= edge && x <= w)) continue;
      g.fillStyle = colour(e.good ? "--good" : "--bad");
      g.fillRect(x, 0, 1, h - floor);
    }
  };
  const rebuild = () => {
    for (const p of plots) if (p.u) { p.u.destroy(); p.u = null; }
    if (!document.hidden) draw();
  };
  let described = 0;
  const draw = () => {
    if (!kept.length) return;
    for (const p of plots) {
      if (p.heat) { drawHeat(p); continue; }
      if (!p.u) p.u = make(p); else p.u.setData([times, ...p.data()]);
    }
    if (performance.now() - described < 10000) return;
    described = performance.now();
    for (const p of plots) {
      if (p.heat) { p.box.setAttribute("aria-label", p.title + ": p99 now " + span(quantile(last && last.latency, 0.99))); continue; }
      const parts = p.series.map((s, i) => {
        let lo = Infinity, hi = -Infinity, end = null;
        p.u.data[i + 1].forEach((v, at) => {
          if (v === null || v === undefined) return;
          if (p.fill && p.u.data[i + 2]) v -= p.u.data[i + 2][at];
          lo = Math.min(lo, v); hi = Math.max(hi, v); end = v;
        });
        return end === null ? s + " unknown" : s + " now " + p.text(end) + ", from " + p.text(lo) + " to " + p.text(hi);
      });
      p.box.setAttribute("aria-label", p.title + ": " + parts.join("; "));
    }
  };
  new ResizeObserver(() => { for (const p of plots) if (p.u) p.u.setSize({ width: p.box.clientWidth, height: 150 }); if (kept.length) plots.filter(p => p.heat).forEach(drawHeat); }).observe($("plots"));

  // Controls.
  const show = v => {
    view = v;
    $("hour").setAttribute("aria-pressed", v === "hour");
    $("day").setAttribute("aria-pressed", v === "day");
    load();
  };
  const pause = () => { paused = !paused; $("pause").setAttribute("aria-pressed", paused); if (!paused) draw(); };
  const theme = () => {
    chosen = root.dataset.theme === "dark" ? "light" : "dark";
    try { localStorage.setItem("hearth-theme", chosen); } catch { /* for this visit only */ }
    applyTheme();
    rebuild();
  };
  const help = () => { const open = $("helped").hidden; $("helped").hidden = !open; $("help").setAttribute("aria-expanded", open); };
  const keys = { h: () => show("hour"), d: () => show("day"), p: pause, t: theme, "?": help };
  for (const [id, f] of [["hour", keys.h], ["day", keys.d], ["pause", pause], ["theme", theme], ["help", help]]) $(id).addEventListener("click", f);
  addEventListener("keydown", e => {
    if (e.ctrlKey || e.altKey || e.metaKey || /^(INPUT|TEXTAREA|SELECT)$/.test(e.target.tagName)) return;
    if (keys[e.key]) keys[e.key]();
  });

  // The stream. EventSource comes back by itself; what it missed is in the history.
  let source = null;
  const follow = () => {
    source = new EventSource("api/stream");
    source.addEventListener("tick", e => take(JSON.parse(e.data)));
    source.addEventListener("error", () => {
      broken = "the stream is cut";
      if (source.readyState === EventSource.CLOSED) { source.close(); source = null; setTimeout(() => { if (!document.hidden) { follow(); load(); } }, 5000); }
    });
  };
  addEventListener("pagehide", () => { if (source) source.close(); source = null; });
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) { if (source) source.close(); source = null; return; }
    if (!source) follow();
    load();
    hot();
  });
  setInterval(() => { if (!document.hidden) state(); }, 1000);
  setInterval(hot, 3000);
  setInterval(() => { if (!document.hidden && view === "day" && !paused) load(); }, 10000);
  load().then(() => { follow(); hot(); });
})();
