// The edge's page: hears what is so (server-sent events) and shows it. It asks for no change.

import { at, clock, say, show, written } from "/words.js";
import { showTraffic, takeHistory, takeTraffic } from "/charts.js";
import { showAttention, showEvents, showMappings, showStates, showStatus } from "/parts.js";
import { STATES, forget, view } from "/view.js";

const SILENT = 15;   // seconds without a word: the connection is lost
const AGAIN = 5;     // seconds between two tries

let source = null, heard = 0, tried = 0, typing = 0;

function link(word) {
  document.body.dataset.link = word;
  say("link-word", { live: "live", lost: "not connected", waits: "connecting" }[word]);
}

function lost() {
  link("lost");
  say("lost", view.since ? `The edge does not answer. This is how it was at ${clock(view.since)}; trying again.` :
    "The edge does not answer; trying again.");
  show("lost", true);
}

function alive(told) {
  view.skew = told.at ? told.at - Date.now() / 1000 : view.skew;
  if (told.at) view.since = told.at;
  view.pause = told.next;
  link("live");
  say("lost", `The edge can not tell how it is: ${told.fault}`);
  show("lost", Boolean(told.fault));
}

function listen() {
  stop();
  tried = Date.now() / 1000;
  const query = new URLSearchParams();
  for (const [key, value] of Object.entries(view.asked)) if (value) query.set(key, value);
  source = new EventSource(`/live?${query}`);
  const on = (name, act) => source.addEventListener(name, event => {
    heard = Date.now() / 1000;
    act(JSON.parse(event.data));
  });
  on("status", told => { view.status = told; showStatus(); });
  on("mappings", told => { view.page = told; showMappings(); if (view.traffic) showTraffic(); });
  on("troubled", told => { view.troubled = told; showAttention(); });
  on("events", showEvents);
  on("history", takeHistory);
  on("traffic", takeTraffic);
  on("alive", alive);
  on("ended", () => begin());
  source.addEventListener("error", () => {
    if (document.body.dataset.link === "live") lost();
    if (source && source.readyState === EventSource.CLOSED) begin();
  });
}

function stop() {
  if (source) source.close();
  source = null;
}

function ask(changes) {
  view.asked = { ...view.asked, ...changes };
  view.before = null;
  view.traffic = null;
  const query = new URLSearchParams(Object.entries(view.asked).filter(([, value]) => value));
  history.replaceState(null, "", query.size ? `#${query}` : location.pathname);
  if (view.status) showStates(view.status.report.status.mappings);
  listen();
}

// Whether we are logged in: then listen, else ask for the token.
async function begin() {
  stop();
  tried = Date.now() / 1000;
  try {
    const answer = await fetch("/session");
    if (!answer.ok) throw new Error(answer.statusText);
    const { seconds } = await answer.json();
    const known = seconds > 0;
    const was = !at("app").hidden;
    show("login", !known);
    show("app", known);
    if (known) { if (!view.since) link("waits"); heard = Date.now() / 1000; listen(); }
    else leave(was ? "This login has ended: log in again." : "");
  } catch (error) {
    show("app", true);
    lost();
  }
}

// Take away what the page shows of the edge, and ask for the token.
function leave(why) {
  forget();
  for (const id of ["mappings-body", "hosts-body", "pools-body", "events-body", "attention-list", "states"])
    at(id).replaceChildren();
  for (const id of ["edge-name", "footer"]) say(id, "");
  document.title = "zthook edge";
  say("login-error", why);
  show("login-error", Boolean(why));
  at("token").focus();
}

async function logIn(event) {
  event.preventDefault();
  const field = at("token"), button = at("login-button");
  button.disabled = true;
  let why = "";
  try {
    const answer = await fetch("/login", {
      method: "POST", headers: { "content-type": "application/json" },
      body: JSON.stringify({ token: field.value }),
    });
    if (answer.status === 401) why = "That is not the token.";
    else if (answer.status === 429) why = `Too many tries: wait ${answer.headers.get("retry-after") || "some"} seconds.`;
    else if (!answer.ok) why = `The edge says: ${(await answer.json()).message}`;
  } catch (error) {
    why = "The edge does not answer.";
  }
  button.disabled = false;
  say("login-error", why);
  show("login-error", Boolean(why));
  if (why) { field.select(); return; }
  field.value = "";
  begin();
}

async function logOut() {
  try { await fetch("/logout", { method: "POST" }); } catch (error) { lost(); return; }
  show("app", false);
  begin();
}

function start() {
  const query = new URLSearchParams(location.hash.slice(1));
  view.asked = {
    text: query.get("text") || "",
    state: STATES.includes(query.get("state")) ? query.get("state") : "",
    first: Number.parseInt(query.get("first"), 10) || 0,
  };
  at("search").value = view.asked.text;
  at("login-form").addEventListener("submit", logIn);
  at("logout").addEventListener("click", logOut);
  at("top").addEventListener("click", event => { event.preventDefault(); scrollTo({ top: 0 }); });
  at("search").addEventListener("input", () => {
    clearTimeout(typing);
    typing = setTimeout(() => ask({ text: at("search").value.trim(), first: 0 }), 250);
  });
  at("states").addEventListener("click", event => {
    if (event.target.dataset.state !== undefined) ask({ state: event.target.dataset.state, first: 0 });
  });
  at("pager-before").addEventListener("click", () => ask({ first: Math.max(0, view.page.first - view.page.most) }));
  at("pager-after").addEventListener("click", () => ask({ first: view.page.first + view.page.most }));
  setInterval(() => {
    for (const one of document.querySelectorAll("[data-since]")) written(one);
    const moment = Date.now() / 1000;
    if (!at("app").hidden && moment - Math.max(heard, tried) > SILENT) { lost(); begin(); }
    else if (document.body.dataset.link === "lost" && !source && moment - tried > AGAIN) begin();
  }, 1000);
  begin();
}

start();
