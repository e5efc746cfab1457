// Words and pieces of a page. All texts, which guests and hosts choose, become text nodes:
// nothing is ever read as HTML.

import { now } from "/view.js";

const SVG = "http://www.w3.org/2000/svg";
const KIND = {
  active: "ok", up: "ok", pending: "warn", silent: "warn", conflict: "bad", refused: "bad",
  withdrawn: "mute", reserved: "info", enrolled: "mute", invited: "info",
  granted: "ok", moved: "ok", "lease began": "ok", "lease ended": "warn",
  "requests refused": "warn", "host removed": "warn",
};

export const at = id => document.getElementById(id);

export function el(name, classes, ...inside) {
  const made = document.createElement(name);
  if (classes) made.className = classes;
  made.append(...inside.filter(one => one !== "" && one !== null && one !== undefined));
  return made;
}

export function svg(name, attributes, ...inside) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...inside);
  return made;
}

export function say(id, text) {
  const place = at(id);
  if (place.textContent !== text) place.textContent = text;
}

export function show(id, visible) { at(id).hidden = !visible; }

export function amount(octets) {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let power = 0;
  while (octets >= 999.5 && power < units.length - 1) { octets /= 1000; power += 1; }
  return `${octets.toFixed(power > 0 && octets < 99.95 ? 1 : 0)} ${units[power]}`;
}

export const rate = octets => octets === null || octets === undefined ? "–" : `${amount(octets)}/s`;

export function duration(seconds) {
  const left = Math.max(0, Math.floor(seconds));
  for (const [size, unit] of [[86400, "d"], [3600, "h"], [60, "min"]])
    if (left >= size) return `${Math.floor(left / size)} ${unit}`;
  return `${left} s`;
}

export const plural = (many, one, more) => `${many} ${many === 1 ? one : more}`;
export const state = word => el("span", `state ${KIND[word] || "mute"}`, word);

// What tells how long ago something was: written anew every second.
export function ago(time, suffix) {
  const made = el("span");
  if (time === null || time === undefined) return el("span", "muted", "never");
  made.dataset.since = time;
  made.dataset.suffix = suffix || "";
  made.title = new Date(time * 1000).toLocaleString();
  return written(made);
}

export function written(made) {
  const text = duration(now() - Number(made.dataset.since)) + made.dataset.suffix;
  if (made.textContent !== text) made.textContent = text;
  return made;
}

// A cell that says nothing is left out where the screen is narrow.
export function cell(classes, label, ...inside) {
  const made = el("td", classes, ...inside);
  made.classList.toggle("none", made.textContent === "–");
  if (label) made.dataset.label = label;
  return made;
}

export function clock(seconds) {
  const time = new Date(seconds * 1000), today = new Date();
  const hours = time.toLocaleTimeString([], { hour12: false });
  if (time.toDateString() === today.toDateString()) return hours;
  const day = time.toLocaleDateString([], { month: "short", day: "numeric" });
  return `${day} ${hours.slice(0, 5)}`;
}

// Some of them, and how many more there are.
export const few = words => words.slice(0, 3).join(", ") + (words.length > 3 ? ` and ${words.length - 3} more` : "");
