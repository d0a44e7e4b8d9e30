// Finds what is published under a name, and reads its days.
"use strict";

const Published = (() => {
  const { root, everything } = document.querySelector("main").dataset;
  const asked = new Map();

  async function fetchJson(path) {
    const response = await fetch(path);
    if (!response.ok) throw new Error(`${path}: ${response.status}`);
    return response.json();
  }

  // Each file is read once.
  function read(path) {
    if (!asked.has(path)) asked.set(path, fetchJson(root + path));
    return asked.get(path);
  }

  // Names as PyPI compares them. A group is `_group/` and its name.
  function normalise(text) {
    const [, group, name] = /^(_group\/)?(.*)$/s.exec(text.trim().toLowerCase());
    return (group ?? "") + name.replace(/[-_.]+/g, "-");
  }

  // Packages and groups with a page of their own.
  async function listed() {
    const { packages, groups } = await read("_packages.json");
    return [...packages, ...groups];
  }

  // The packages that only `*` selects are in files by their first letters.
  async function summary() {
    const isThere = everything !== undefined || (await read("_packages.json")).everything;
    return isThere ? read("_packages/index.json") : null;
  }

  async function shardOf(name) {
    const key = name.slice(0, 2);
    const known = await summary();
    return known && Object.hasOwn(known.shards, key) ? read(`_packages/${key}.json`) : null;
  }

  // Returns null for a name under which nothing is published.
  async function find(name) {
    const entry = (await listed()).find(({ folder }) => folder === name);
    if (entry) return { folder: name, name: entry.name, href: `${root}${name}/`, windows: null };
    const shard = await shardOf(name);
    if (!shard || !Object.hasOwn(shard.packages, name)) return null;
    return { folder: name, name, href: `${root}_packages/?${name}`, windows: shard.windows, shard };
  }

  // Returns honest and raw downloads by day. A day that is absent was not read.
  async function daysOf({ folder, windows }) {
    const file = await read(`${folder}/history.json`);
    const found = new Map();
    if (file.format === 1) {
      const short = new Set(file.short_days);
      for (const day of file.days) {
        const notes = [day.reading === "provisional" && "provisional", short.has(day.date) && "rows lost", day.definition === "requests" && "requests"];
        found.set(day.date, { honest: day.categories.honest, raw: day.raw, definition: day.definition, source: day.source ?? file.source, notes: notes.filter(Boolean) });
      }
      return found;
    }
    // The days of its windows were read. One without downloads is not listed.
    const definitionOf = (day) => file.definitions?.[day] ?? file.definition;
    for (const { first_day: first, as_of: last } of windows) {
      for (let time = Date.parse(first); time <= Date.parse(last); time += 24 * 60 * 60 * 1000) {
        const day = new Date(time).toISOString().slice(0, 10);
        const [honest, raw] = file.days[day] ?? [0, 0];
        const notes = definitionOf(day) === "requests" ? ["requests"] : [];
        found.set(day, { honest, raw, definition: definitionOf(day), source: file.source, notes });
      }
    }
    return found;
  }

  return { normalise, listed, summary, shardOf, find, daysOf };
})();
