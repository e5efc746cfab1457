// The parts of the page, each made anew of what was told.

import { ago, at, cell, clock, duration, el, few, plural, say, show, state, svg } from "/words.js";
import { keyOf } from "/charts.js";
import { STATES, now, view } from "/view.js";

export function showStatus() {
  const { report, hosts, fit } = view.status, edge = report.status;
  say("edge-name", edge.edge);
  const counts = edge.mappings, held = counts.active;
  figure("tile-mappings", held, "active");
  const others = STATES.slice(1).filter(one => counts[one]).map(one => `${counts[one]} ${one}`);
  say("tile-mappings-more", others.join(", ") || "nothing waits or conflicts");
  const up = edge.hosts.filter(one => hostState(one) === "up").length;
  figure("tile-hosts", edge.hosts.length < hosts ? hosts : up, edge.hosts.length < hosts ? "" : `of ${hosts} up`);
  say("tile-hosts-more", hostsSaid(edge.hosts));
  const sum = key => report.pools.reduce((all, pool) => all + pool[key], 0);
  figure("tile-addresses", sum("used"), `of ${sum("size")} in use`);
  say("tile-addresses-more", `${sum("reserved")} reserved, ${sum("free")} free`);
  showHosts(edge.hosts, hosts, fit);
  showPools(report.pools);
  showStates(counts);
  showAttention();
  const overlay = edge.overlay;
  say("footer", [
    `zthook ${edge.version}`, `up ${duration(now() - edge.started)}`,
    overlay ? `overlay ${overlay.device}, ${overlay.addresses.join(", ")}, MTU ${overlay.mtu}` : "overlay down",
    report.listening ? `API at ${report.listening}` : "API not listening",
    edge.drift.repaired ? `${plural(edge.drift.repaired, "repair", "repairs")} of the kernel` : "no repairs",
  ].join(" · "));
}

function figure(id, number, words) {
  at(id).replaceChildren(String(number), " ", el("small", "", words));
}

function hostState(host) {
  if (!host.enrolled) return "invited";
  return { live: "up", ended: "silent", none: "enrolled" }[host.lease];
}

function hostsSaid(hosts) {
  const of = wanted => hosts.filter(one => hostState(one) === wanted).length;
  const said = ["silent", "enrolled", "invited"].filter(of).map(one => `${of(one)} ${one}`);
  return said.join(", ") || (hosts.length ? "all are there" : "none yet");
}

export function showAttention() {
  const items = [];
  const add = (word, kind, ...what) =>
    items.push(el("li", "", el("span", `state ${kind}`, word), el("span", "what", ...what)));
  for (const problem of view.status.report.problems) add("problem", "bad", problem);
  for (const host of view.status.report.status.hosts) {
    if (host.fault) add("host", "bad", host.fault);
    if (hostState(host) === "silent")
      add("silent", "warn", `${host.name} has not been heard for `, ago(host.last_seen),
        host.held ? `; it holds ${plural(host.held, "address", "addresses")}, which others may claim` : "");
  }
  for (const one of view.troubled)
    add(one.state, "bad", `${one.public || one.asked} for ${one.guest} on ${one.host}: ${one.reason || one.holder}`);
  at("attention-list").replaceChildren(...items);
  show("attention", items.length > 0);
  document.title = items.length ? `(${items.length}) zthook edge` : "zthook edge";
}

export function showStates(counts) {
  const all = STATES.reduce((sum, one) => sum + counts[one], 0);
  const chip = (name, label, many) => {
    const made = el("button", "", `${label} ${many}`);
    made.type = "button";
    made.setAttribute("aria-pressed", String(view.asked.state === name));
    made.dataset.state = name;
    return made;
  };
  const there = STATES.filter(one => counts[one] || view.asked.state === one);
  at("states").replaceChildren(chip("", "all", all), ...there.map(one => chip(one, one, counts[one])));
}

export function showMappings() {
  const { mappings, found, first, most } = view.page;
  const keys = new Set(mappings.map(one => `${one.uuid}|${one.asked}|${one.host}`));
  at("mappings-body").replaceChildren(...mappings.map(one => {
    const made = mappingRow(one);
    if (view.before && !view.before.has(`${one.uuid}|${one.asked}|${one.host}`)) made.classList.add("new");
    return made;
  }));
  view.before = keys;
  show("mappings", mappings.length > 0);
  show("mappings-none", mappings.length === 0);
  say("mappings-none", view.asked.text || view.asked.state ? "No mapping fits." :
    "No guest asks for an address yet. On a host: zthook assign GUEST auto");
  show("pager", found > most);
  say("pager-said", `${first + 1}–${first + mappings.length} of ${found}`);
  at("pager-before").disabled = first === 0;
  at("pager-after").disabled = first + mappings.length >= found;
}

function mappingRow(one) {
  const ports = one.ports.length ? el("span", "sub", few(one.ports)) : "";
  const why = one.reason || (one.holder ? `held by ${one.holder}` : "");
  const mode = [one.mode, one.client].filter(Boolean).join(" ") || "–";
  const more = [one.egress === "public" ? "leaves by it too" : "", one.allow.length ? `from ${few(one.allow)}` : ""];
  const guest = el("span", "name", one.guest);
  guest.title = one.uuid;
  const made = el("tr", "",
    cell("first", "", el("span", "address", one.public || one.asked), ports),
    cell("wide", "", guest, el("span", "sub", one.state === "reserved" ? `last on ${one.host}` : `on ${one.host}`)),
    cell("state-cell", "", state(one.state), why ? el("span", "sub", why) : ""),
    cell("", "", one.private || "–"),
    cell("num", "in", "–"), cell("num", "out", "–"),
    el("td", "trace", svg("svg", { viewBox: "0 0 100 22", preserveAspectRatio: "none", "aria-hidden": "true" })),
    cell("mode", "", mode, ...more.filter(Boolean).map(text => el("span", "sub", text))),
    cell("num side", "since", ago(one.since)));
  made.dataset.key = keyOf(one);
  return made;
}


function showHosts(hosts, all, fit) {
  at("hosts-body").replaceChildren(...hosts.map(hostRow));
  show("hosts", hosts.length > 0);
  show("hosts-none", hosts.length === 0);
  say("hosts-none", all ? "No host fits the search." : "No hosts yet. On the edge: zthook edge host add NAME");
  say("hosts-said", fit > hosts.length ? `${hosts.length} of ${fit}: search for the others` :
    fit < all ? `${fit} of ${all}` : "");
}

function hostRow(one) {
  const notes = [one.fault, one.group ? `group ${one.group}` : "",
    one.pools.length ? `only ${few(one.pools)}` : "",
    one.invited_until !== null ? tokenSaid(one.invited_until) : ""].filter(Boolean);
  const path = one.path;
  const way = path ? (path.direct ? "direct" : "relayed") +
    (path.latency !== null ? `, ${latency(path.latency)}` : "") : "–";
  return el("tr", "",
    cell("first", "", el("span", "name", one.name), el("span", "sub", one.hostname || one.member || "")),
    cell("state-cell", "", state(hostState(one)), ...notes.map(text => el("span", "sub", text))),
    cell("", "", one.address || "–"),
    cell("num", "holds", String(one.held)),
    cell("end", "", way),
    cell("num end late", "seen", ago(one.last_seen, " ago")));
}

const latency = seconds => seconds < 0.001 ? "<1 ms" : `${Math.round(seconds * 1000)} ms`;
const tokenSaid = until => until > now() ? `token good for ${duration(until - now())}` : "token expired";

function showPools(pools) {
  at("pools-body").replaceChildren(...pools.map(pool => {
    const width = many => (100 * many / Math.max(1, pool.size)).toFixed(2);
    const bar = (name, from, many) =>
      svg("rect", { class: name, x: width(from), y: 0, width: width(many), height: 8 });
    return el("div", "pool",
      el("p", "pool-head", el("span", "name", pool.name), el("span", "muted", pool.uplink), el("span", "grow"),
        el("span", "nowrap", `${pool.used} of ${pool.size} in use`)),
      svg("svg", { class: "meter", viewBox: "0 0 100 8", preserveAspectRatio: "none", "aria-hidden": "true" },
        bar("free", 0, pool.size), bar("used", 0, pool.used), bar("reserved", pool.used, pool.reserved)),
      el("p", "sub", `${few(pool.addresses)} · ${pool.reserved} reserved, ${pool.free} free`));
  }));
  show("pools-none", pools.length === 0);
  say("pools-none", "No pools yet. On the edge: zthook edge pool add");
}

export function showEvents(events) {
  at("events-body").replaceChildren(...events.map(one => {
    const time = el("time", "", clock(one.at));
    time.title = new Date(one.at * 1000).toLocaleString();
    return el("li", "", time, el("span", "", state(one.event)), el("span", "what", ...told(one)));
  }));
  show("events-none", events.length === 0);
}

// What happened, as a line: ADDRESS (PORTS) GUEST on HOST, PRIVATE · why
function told(one) {
  const place = one.public ? el("span", "address", one.public) : "";
  const words = [one.ports.length ? ` (${few(one.ports)})` : "",
    one.guest ? ` ${one.guest}` : "", one.host ? ` on ${one.host}` : "",
    one.private ? `, ${one.private}` : "", one.source ? ` from ${one.source}` : ""].join("");
  const why = one.times > 1 ? `${one.times} times, the last: ${one.why}` : one.why;
  const said = (place ? words : words.replace(/^ (on )?/, "")).replace(/^, /, "");
  return [place, said, why ? el("span", "muted", (place || said ? " · " : "") + why) : ""].filter(Boolean);
}
