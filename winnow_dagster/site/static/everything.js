// Finds any package by its name, in the shard of names that begin alike, and draws its days.
"use strict";

const SHOWN = 50;
const shards = new Map();

async function read(path) {
  const response = await fetch(path);
  if (!response.ok) throw new Error(path + ": " + response.status);
  return response.json();
}

function shardOf(name, known) {
  const key = name.slice(0, 2);
  if (!(key in known)) return Promise.resolve(null);
  if (!shards.has(key)) shards.set(key, read(key + ".json"));
  return shards.get(key);
}

function normalised(text) {
  return text.trim().toLowerCase().replace(/[-_.]+/g, "-");
}

function matching(shard, words) {
  const found = Object.keys(shard.packages).filter((name) => name.startsWith(words));
  found.sort((one, other) =>
    (other === words) - (one === words) || (shard.packages[other][0] ?? -1) - (shard.packages[one][0] ?? -1) ||
    (one < other ? -1 : 1));
  return found;
}

// What nobody counted is not 0.
function told(count) {
  return count == null ? "not counted" : count.toLocaleString("en");
}

function list(names, shard) {
  const items = names.slice(0, SHOWN).map((name) => {
    const item = document.createElement("li");
    const link = document.createElement("a");
    link.href = "#" + name;
    link.textContent = name;
    item.append(link, " " + told(shard.packages[name][0]));
    return item;
  });
  document.querySelector("[data-names]").replaceChildren(...items);
}

// The days of any window were read; one of them without downloads has 0, and any other day is not known.
function bars(days, windows) {
  const first = windows.map((window) => window.first_day).sort()[0];
  const last = windows.map((window) => window.as_of).sort().reverse()[0];
  const svg = (tag, attributes) => {
    const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    return made;
  };
  const wanted = [];
  for (let day = new Date(first + "T00:00:00Z"); day <= new Date(last + "T00:00:00Z"); day.setUTCDate(day.getUTCDate() + 1)) {
    wanted.push(day.toISOString().slice(0, 10));
  }
  const top = Math.max(1, ...wanted.map((day) => (days[day] || [0, 0])[1]));
  const width = 720 / wanted.length;
  const chart = svg("svg", { class: "chart", viewBox: "0 0 720 160", role: "img" });
  const title = svg("title", {});
  title.textContent = "Downloads by day, honest of raw, " + first + " to " + last;
  chart.append(title);
  wanted.forEach((day, at) => {
    if (!windows.some((window) => window.first_day <= day && day <= window.as_of)) return;
    const [honest, raw] = days[day] || [0, 0];
    const bar = (count, style) => {
      const height = (150 * count) / top;
      return svg("path", { class: style, d: `M${at * width} ${160 - height}h${width * 0.8}v${height}h${-width * 0.8}z` });
    };
    const group = svg("g", {});
    const told = svg("title", {});
    told.textContent = `${day}: ${honest.toLocaleString("en")} honest of ${raw.toLocaleString("en")} raw`;
    group.append(told, bar(raw, "c-other"), bar(honest, "c-honest"));
    chart.append(group);
  });
  return chart;
}

function row(day, counts) {
  const made = document.createElement("tr");
  const head = document.createElement("th");
  head.scope = "row";
  head.textContent = day;
  made.append(head, ...counts.map((count) => {
    const cell = document.createElement("td");
    cell.className = "n";
    cell.textContent = count.toLocaleString("en");
    return cell;
  }));
  return made;
}

// A package with an entry of its own is in no shard, and has a page.
async function elsewhere(name) {
  const { packages } = await read("../_packages.json");
  if (!packages.some((entry) => entry.folder === name)) return ["No package " + name + " is published here."];
  const link = document.createElement("a");
  link.href = "../" + name + "/";
  link.textContent = name;
  return [link, " has a page of its own."];
}

async function show(name, known) {
  const section = document.querySelector("[data-package]");
  const status = document.querySelector("[data-status]");
  const shard = await shardOf(name, known);
  if (!shard || !Object.hasOwn(shard.packages, name)) {
    section.hidden = true;
    status.replaceChildren(...(name ? await elsewhere(name) : []));
    return;
  }
  // The headline's, or the first of which there is a number.
  const at = Math.max(0, shard.windows.findIndex((_, n) => shard.packages[name][n * shard.columns.length] != null));
  const [honest, raw] = shard.packages[name].slice(at * shard.columns.length);
  const window = shard.windows[at];
  section.querySelector("[data-name]").textContent = name;
  const badge = section.querySelector("[data-badge]");
  badge.src = "../" + name + "/downloads-" + window.days + "d-non-ci.svg";
  badge.alt = told(honest) + " honest downloads";
  section.querySelector("[data-counts]").textContent =
    `${told(honest)} honest of ${told(raw)} raw downloads, ${window.first_day} to ${window.as_of}.`;
  const history = "../" + name + "/history.json";
  section.querySelector("[data-json]").href = history;
  const { days } = await read(history);
  section.querySelector("[data-chart]").replaceChildren(bars(days, shard.windows));
  section.querySelector("[data-days]").replaceChildren(...Object.keys(days).sort().reverse().map((day) => row(day, days[day])));
  section.hidden = false;
  status.textContent = "";
}

async function start() {
  const input = document.getElementById("everything");
  const status = document.querySelector("[data-status]");
  const { shards: known } = await read("index.json");
  const failing = (work) => work.catch((error) => { status.textContent = "Not read: " + error.message; });
  const search = async () => {
    const words = normalised(input.value);
    const shard = words.length > 1 || words in known ? await shardOf(words, known) : null;
    if (words !== normalised(input.value)) return;
    const found = shard ? matching(shard, words) : [];
    list(found, shard);
    status.textContent = words.length === 1 && !shard ? "Two letters at least." : words ? found.length + " found" : "";
  };
  const chosen = () => failing(show(normalised(decodeURIComponent(location.hash.slice(1))), known));
  input.closest(".search").hidden = false;
  input.addEventListener("input", () => failing(search()));
  window.addEventListener("hashchange", chosen);
  if (location.hash) chosen();
}

start().catch((error) => { document.querySelector("[data-status]").textContent = "Not read: " + error.message; });
