// Traffic: of all mappings together, and of each of those on the page.

import { amount, at, el, rate, say, svg } from "/words.js";
import { now, view } from "/view.js";

const WINDOW = 300;   // seconds in the chart of all traffic
const TRACE = 120;    // seconds in the chart of a mapping

// Path data of (time, value) points in a box; a gap in time, or no value, breaks the line.
function lines(values, from, until, most, width, height, area) {
  const x = time => ((time - from) / (until - from) * width).toFixed(1);
  const y = value => (height - 1.5 - value / most * (height - 4)).toFixed(1);
  const runs = [];
  let last = null;
  for (const [time, value] of values) {
    if (time < from || value === null) { last = null; continue; }
    if (last === null || time - last > Math.max(8, 3 * view.pause)) runs.push([]);
    runs[runs.length - 1].push([x(time), y(value)]);
    last = time;
  }
  return runs.map(run => {
    const line = run.map(point => point.join(" ")).join("L");
    return area ? `M${run[0][0]} ${height}L${line}L${run[run.length - 1][0]} ${height}Z` : `M${line}`;
  }).join("");
}

function drawTraffic() {
  const until = now(), from = until - WINDOW;
  view.points = view.points.filter(one => one.at >= from - 10);
  const shown = view.points.filter(one => one.at >= from);
  const most = Math.max(1000, ...shown.map(one => Math.max(one.rate_in, one.rate_out)));
  const of = key => shown.map(one => [one.at, one[key]]);
  const draw = (key, area) => lines(of(key), from, until, most, 300, 56, area);
  at("chart").replaceChildren(
    svg("path", { class: "in-area", d: draw("rate_in", true) }),
    svg("path", { class: "in", d: draw("rate_in") }),
    svg("path", { class: "out", d: draw("rate_out") }));
  say("chart-most", shown.length ? rate(most) : view.counted ? "nothing seen yet" : "");
  say("chart-note", view.counted ? "5 min ago" : "not told: there are too many mappings");
  const last = shown[shown.length - 1];
  say("rate-in", rate(last && last.rate_in));
  say("rate-out", rate(last && last.rate_out));
}

export const keyOf = one => `${one.public}|${one.private}`;

function drawTrace(place, key) {
  const until = now(), from = until - TRACE;
  const values = (view.traces.get(key) || []).filter(([time]) => time >= from - 10);
  view.traces.set(key, values);
  const most = Math.max(1000, ...values.map(([, value]) => value || 0));
  const draw = area => lines(values, from, until, most, 100, 22, area);
  place.replaceChildren(
    svg("path", { class: "in-area", d: draw(true) }), svg("path", { class: "in", d: draw(false) }));
}

export function showTraffic() {
  const rows = at("mappings-body").children;
  view.traffic.each.forEach((one, number) => {
    const row = rows[number];
    if (!row) return;
    const [came, went] = row.querySelectorAll("td.num");
    fill(came, one && one.rate_in, one && one.bytes_in);
    fill(went, one && one.rate_out, one && one.bytes_out);
    drawTrace(row.querySelector("svg"), row.dataset.key);
  });
  drawTraffic();
}

function fill(place, fast, all) {
  place.classList.toggle("none", all === null);
  if (all === null) { place.replaceChildren("–"); return; }
  place.replaceChildren(fast === null ? "" : rate(fast), el("span", "sub", amount(all)));
}

export function takeTraffic(told) {
  view.traffic = told;
  view.counted = told.counted;
  const last = view.points[view.points.length - 1];
  if (told.all && (!last || told.all.at > last.at)) {
    view.points.push(told.all);
    told.each.forEach((one, number) => {
      const mapping = view.page.mappings[number];
      if (!mapping || !one || one.rate_in === null) return;
      const key = keyOf(mapping);
      if (!view.traces.has(key)) view.traces.set(key, []);
      view.traces.get(key).push([told.all.at, one.rate_in + one.rate_out]);
    });
  }
  showTraffic();
}

export function takeHistory(told) {
  view.points = told.points.slice();
  view.traces = new Map();
  told.traces.forEach((values, number) => {
    const mapping = view.page.mappings[number];
    if (mapping) view.traces.set(keyOf(mapping), values.map((value, moment) => [view.points[moment].at, value]));
  });
}
