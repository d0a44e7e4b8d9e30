// Searches everything that is published, and shows a package that only `*` selects: `?structlog`.
"use strict";

{
  const { make, time } = Plot;
  const { normalise } = Published;
  const MAX_SHOWN = 50;
  const GROUP = "_group/";
  const input = document.getElementById("everything");
  const status = document.querySelector("[data-status]");
  const section = document.querySelector("[data-package]");
  const name = normalise(location.search.slice(1));

  // What was not counted is not 0.
  const told = (count) => (count == null ? "not counted" : count.toLocaleString("en"));
  const inDays = (days) => (days === 1 ? "1 day" : `${days} days`);
  const daysIn = ({ first_day: first, as_of: last }) => (time(last) - time(first)) / Plot.DAY + 1;

  // Packages and groups with a page, and the others that begin alike.
  async function matching(words) {
    const found = (await Published.listed()).filter(({ folder }) => folder.replace(GROUP, "").startsWith(words)).map((entry) => {
      const window = entry.windows[entry.headline];
      return { name: entry.folder.replace(GROUP, ""), shown: entry.name, note: entry.folder.startsWith(GROUP) ? " (group)" : "", href: `../${entry.folder}/`, count: window?.honest, window };
    });
    const { shards } = await Published.summary();
    const shard = words.length > 1 || Object.hasOwn(shards, words) ? await Published.shardOf(words) : null;
    for (const [each, counts] of Object.entries(shard?.packages ?? {})) {
      if (each.startsWith(words)) found.push({ name: each, shown: each, note: "", href: `?${each}`, count: counts[0], window: shard.windows[0] });
    }
    return found.sort((one, other) => (other.name === words) - (one.name === words) || (other.count ?? -1) - (one.count ?? -1) || (one.name < other.name ? -1 : 1));
  }

  function list(found) {
    document.querySelector("[data-names]").replaceChildren(...found.slice(0, MAX_SHOWN).map(({ shown, note, href, count, window }) => {
      const item = make("li");
      item.append(make("a", { href }, shown), `${note} ${told(count)}${window ? ` in ${inDays(daysIn(window))}` : ""}`);
      return item;
    }));
  }

  async function search() {
    const words = normalise(input.value);
    if (!name) history.replaceState(null, "", words ? "#search=" + encodeURIComponent(words) : location.pathname);
    const found = words ? await matching(words) : [];
    if (words !== normalise(input.value)) return [];
    list(found);
    const { shards } = await Published.summary();
    const more = found.length > MAX_SHOWN ? `, the first ${MAX_SHOWN} are shown` : "";
    const letters = words.length === 1 && !Object.hasOwn(shards, words) ? ". Two letters at least to search all packages." : "";
    status.textContent = words ? `${found.length.toLocaleString("en")} found${more}${letters}` : "";
    return found;
  }

  async function open() {
    const [first] = await search();
    if (first) location.href = first.href;
  }

  // Snippets name the package before the page's other script offers them.
  function nameSnippets() {
    for (const code of section.querySelectorAll(".snippet code")) code.textContent = code.textContent.replaceAll(section.dataset.package, name);
  }

  // The window of the headline, or the first of which there is a number.
  function headlineOf({ windows, columns, packages }) {
    const at = windows.findIndex((_, n) => packages[name][n * columns.length] != null);
    return Math.max(0, at);
  }

  function countsIn({ columns, packages }, at) {
    return Object.fromEntries(columns.map((column, n) => [column, packages[name][at * columns.length + n]]));
  }

  function showNumbers(shard) {
    const at = headlineOf(shard), { honest, raw } = countsIn(shard, at), window = shard.windows[at];
    const share = (counts) => (counts.raw && counts.honest != null ? `${((100 * counts.honest) / counts.raw).toFixed(1)}%` : "–");
    section.querySelector("[data-honest]").textContent = told(honest);
    section.querySelector("[data-length]").textContent = `install${honest === 1 ? "" : "s"} in ${inDays(daysIn(window))}`;
    section.querySelector("[data-span]").textContent = `${window.first_day} to ${window.as_of} (UTC), honest downloads only`;
    section.querySelector("[data-bar]").setAttribute("d", `M0 0h${raw ? (100 * honest) / raw : 0}v22H0z`);
    section.querySelector("[data-share]").textContent = `${share({ honest, raw })} of ${told(raw)} raw downloads. The rest was winnowed: CI jobs, mirrors, browsers, scripts, unknown clients and other installers.`;
    section.querySelector("[data-windows]").replaceChildren(...shard.windows.map((each, n) => {
      const counts = countsIn(shard, n), row = make("tr"), head = make("th", { scope: "row" }, inDays(daysIn(each)));
      head.append(make("br"), make("small", {}, `${each.first_day} to ${each.as_of}`));
      row.append(head, ...[told(counts.honest), share(counts), told(counts.raw)].map((text) => make("td", { class: "n" }, text)));
      return row;
    }));
    section.querySelector("[data-all-windows]").hidden = shard.windows.length < 2;
  }

  // A badge that shows a number that was not counted is not published.
  function showBadges(shard) {
    for (const item of section.querySelectorAll("[data-badges] > li")) {
      const at = shard.windows.findIndex(({ days }) => String(days) === item.dataset.days);
      const counts = at < 0 ? {} : countsIn(shard, at);
      const image = item.querySelector("img");
      if (item.dataset.columns.split(" ").every((column) => counts[column] != null)) {
        image.src = `../${name}/${item.dataset.stem}.svg`;
        image.alt = item.dataset.alt;
      } else item.remove();
    }
  }

  function showDays(days) {
    const rows = [...days].sort().reverse().map(([day, { honest, raw, notes }]) => {
      const row = make("tr");
      const cells = [raw, honest, raw - honest].map((count) => make("td", {}, count.toLocaleString("en")));
      row.append(make("th", { scope: "row" }, day), ...cells, make("td", {}, notes.join(", ") || "–"));
      return row;
    });
    const table = section.querySelector("table.days");
    table.tBodies[0].replaceChildren(...rows);
    const times = [...days.keys()].map(time);
    const box = section.querySelector("[data-chart]");
    box.dataset.name = name;
    Plot.addRanges(box, Plot.rangesFor((Math.max(...times) - Math.min(...times)) / Plot.DAY + 1));
    startChart(box, table);
  }

  async function show() {
    const entry = await Published.find(name);
    if (!entry) {
      status.textContent = `No package ${name} is published here.`;
      return;
    }
    // A package with an entry of its own has a page, and old links may still lead here.
    if (!entry.shard) {
      location.replace(entry.href);
      return;
    }
    document.title = `${document.title.startsWith("Sample") ? "Sample data: " : ""}${name}: honest downloads`;
    document.querySelector("h1").textContent = name;
    for (const about of document.querySelectorAll("[data-about]")) about.hidden = true;
    for (const link of section.querySelectorAll("[data-link]")) link.href = link.dataset.link + name + (link.dataset.end ?? "");
    showNumbers(entry.shard);
    showBadges(entry.shard);
    section.hidden = false;
    showDays(await Published.daysOf(entry));
  }

  const failing = (work) => work.catch((error) => { status.textContent = `Not read: ${error.message}`; });

  input.closest(".search").hidden = false;
  input.addEventListener("input", () => failing(search()));
  input.addEventListener("keydown", (event) => { if (event.key === "Enter") failing(open()); });
  if (name) {
    nameSnippets();
    failing(show());
  } else {
    const hash = Plot.readHash();
    // The address of a package was `#structlog` before 0.2.0.
    if (hash && !hash.includes("=")) location.replace("?" + normalise(hash));
    input.value = new URLSearchParams(hash).get("search") ?? "";
    if (input.value) failing(search());
  }
}
