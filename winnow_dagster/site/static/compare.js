// Compares up to six packages and groups in one chart. Which ones is in the address: `#a,b,_group/c;90,mean`.
"use strict";

{
  const { DAY, text, iso, time, make, draw } = Plot;
  const MAX_COMPARED = 6;
  const told = document.querySelector("[data-told]");
  const section = document.querySelector("[data-compared]");
  const box = document.querySelector("[data-chart]");
  const form = document.querySelector("[data-add]");
  const state = { names: [], days: 30, weeks: null, mean: false, all: false };
  let packages = [], unknown = [], bins = [], last = 0, ranges = [], plot = null, loads = 0;
  const controls = make("div", { class: "tabs controls" });

  function readAddress() {
    const [names, options = ""] = Plot.readHash().split(";");
    const said = options.split(",");
    state.names = [...new Set(names.split(",").map(Published.normalise).filter(Boolean))];
    state.days = Number(said[0]) || 30;
    state.weeks = said.includes("weeks") ? true : said.includes("days") ? false : null;
    state.mean = said.includes("mean");
    state.all = said.includes("all");
  }

  function writeAddress() {
    const said = [state.days, ...(state.weeks === null ? [] : [state.weeks ? "weeks" : "days"])];
    if (state.mean) said.push("mean");
    if (state.all) said.push("all");
    const options = said.length > 1 || state.days !== 30 ? ";" + said.join(",") : "";
    history.replaceState(null, "", "#" + state.names.join(",") + options);
  }

  const weekly = () => state.weeks ?? state.days >= Plot.WEEKLY_FROM;
  const valueOf = (day) => (state.all ? day.raw : day.honest);
  const styleOf = (n) => "l-" + (n + 1);

  // Reads the packages of the address, and says in words what cannot be compared.
  async function load() {
    const mine = loads += 1;
    const chosen = state.names.slice(0, MAX_COMPARED), rest = state.names.slice(MAX_COMPARED);
    const found = await Promise.all(chosen.map(async (name) => {
      const entry = await Published.find(name);
      if (!entry) return { name, isUnknown: true };
      const days = await Published.daysOf(entry);
      return { ...entry, days: new Map([...days].map(([day, counts]) => [time(day), counts])) };
    }));
    // Another address may have been chosen meanwhile.
    if (mine !== loads) return;
    packages = found.filter((each) => !each.isUnknown && each.days.size);
    unknown = found.filter((each) => each.isUnknown).map(({ name }) => name);
    const empty = found.filter((each) => !each.isUnknown && !each.days.size).map(({ name }) => name);
    told.textContent = [
      state.names.length ? "" : "Choose up to six packages or groups, by name here or in the list of all packages.",
      unknown.length ? `Not published here: ${unknown.join(", ")}.` : "",
      empty.length ? `No day is read yet: ${empty.join(", ")}.` : "",
      rest.length ? `Six at most: ${rest.join(", ")} ${rest.length === 1 ? "is" : "are"} left out.` : "",
    ].filter(Boolean).join(" ");
    section.hidden = !packages.length;
    document.title = `${packages.length ? packages.map(({ name }) => name).join(", ") : "Compare packages"}: honest downloads`;
    if (packages.length) start();
  }

  function start() {
    const times = packages.flatMap(({ days }) => [...days.keys()]);
    last = times.reduce((one, other) => Math.max(one, other));
    const first = times.reduce((one, other) => Math.min(one, other));
    const offered = Plot.rangesFor((last - first) / DAY + 1);
    if (!offered.includes(state.days)) state.days = offered.findLast((days) => days < state.days) ?? offered[0];
    box.replaceChildren();
    ranges = Plot.addRanges(box, offered);
    for (const input of ranges) input.addEventListener("change", () => change({ days: Number(input.value), weeks: null }));
    box.append(controls);
    plot = Plot.addPlot(box, tell);
    listPackages();
    render();
  }

  function swatch(n) {
    const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    for (const [key, value] of [["width", 18], ["height", 12], ["aria-hidden", "true"]]) svg.setAttribute(key, value);
    draw(svg, "path", { class: styleOf(n), d: "M1 6h16" });
    return svg;
  }

  function listPackages() {
    const items = packages.map(({ name, href, folder }, n) => {
      const item = make("li");
      const remove = make("button", { type: "button", "aria-label": "Remove " + name }, "×");
      remove.addEventListener("click", () => choose(state.names.filter((each) => each !== folder)));
      item.append(swatch(n), make("a", { href }, name), remove);
      return item;
    });
    document.querySelector("[data-legend]").replaceChildren(...items);
  }

  function makeBins() {
    const at = (day) => packages.some(({ days }) => days.has(day)) && day;
    const length = weekly() ? 7 : 1;
    const found = Plot.binsOf(last, state.days, length, at);
    for (const each of packages) {
      each.bins = Plot.binsOf(last, state.days, length, (day) => each.days.get(day));
      each.values = each.bins.map((bin) => {
        if (state.mean && !weekly()) return Plot.meanOfWeek(bin.last, (day) => each.days.has(day) ? valueOf(each.days.get(day)) : null);
        return bin.known.some((day) => valueOf(day) != null) ? Plot.mean(bin, valueOf) : null;
      });
    }
    return found;
  }

  function render() {
    for (const refresh of switches) refresh();
    for (const input of ranges) input.checked = Number(input.value) === state.days;
    bins = makeBins();
    plot.show({ bins, range: state.days, lines: packages.map(({ values }, n) => ({ style: styleOf(n), values })) });
    fillSums();
    fillDays();
  }

  // The largest first, as the lines are one above another.
  function tell(n) {
    const order = packages.map((_, at) => at).sort((one, other) => (packages[other].values[n] ?? -1) - (packages[one].values[n] ?? -1));
    return order.map((at) => {
      const { name, values, bins: own } = packages[at];
      const notes = new Set(own[n].known.flatMap((day) => day.notes));
      const missing = own[n].length - own[n].known.length;
      if (missing && own[n].known.length) notes.add(`${missing} days missing`);
      const line = make("span");
      line.append(swatch(at), `${name} ${values[n] === null ? "not known" : text(values[n])}${notes.size ? ` (${[...notes].join(", ")})` : ""}`);
      return line;
    });
  }

  function row(head, cells) {
    const made = make("tr"), name = make("th", { scope: "row" });
    name.append(head);
    made.append(name, ...cells.map(([label, cell]) => make("td", { class: "n", "data-label": label }, cell)));
    return made;
  }

  // A sum needs every day, counted in one way. Days of two sources or definitions do not add up.
  function fillSums() {
    const rows = packages.map(({ name, days }, n) => {
      const known = [];
      for (let day = last - (state.days - 1) * DAY; day <= last; day += DAY) if (days.has(day)) known.push(days.get(day));
      const ways = new Set(known.map((day) => day.definition + day.source));
      const add = (value) => (ways.size === 1 && known.every((day) => value(day) != null) ? known.reduce((sum, day) => sum + value(day), 0) : null);
      const honest = add((day) => day.honest), raw = add((day) => day.raw), isWhole = known.length === state.days;
      const head = make("span");
      head.append(swatch(n), name);
      return row(head, [
        ["Honest", isWhole && honest !== null ? text(honest) : "–"],
        ["A day", honest === null ? "–" : text(honest / known.length)],
        ["Share", honest === null || !raw ? "–" : `${((100 * honest) / raw).toFixed(1)}%`],
        ["Of raw", isWhole && raw !== null ? text(raw) : "–"],
        ["Days read", `${known.length} of ${state.days}`],
      ]);
    });
    section.querySelector(".sums tbody").replaceChildren(...rows);
    section.querySelector("[data-partly]").hidden = rows.every((each) => each.cells[1].textContent !== "–");
  }

  function fillDays() {
    const table = section.querySelector(".days");
    const head = make("tr");
    head.append(...["Day", ...packages.map(({ name }) => name)].map((name) => make("th", { scope: "col" }, name)));
    table.tHead.replaceChildren(head);
    const rows = [];
    for (let day = last; day > last - state.days * DAY; day -= DAY) {
      rows.push(row(iso(day), packages.map(({ name, days }) => {
        const value = days.has(day) ? valueOf(days.get(day)) : null;
        return [name, value == null ? "–" : text(value)];
      })));
    }
    table.tBodies[0].replaceChildren(...rows);
    section.querySelector("summary").textContent = `Each day as a table: ${state.all ? "all downloads" : "honest downloads"}`;
  }

  function change(what) {
    Object.assign(state, what);
    writeAddress();
    render();
  }

  function choose(names) {
    state.names = names.filter((name) => !unknown.includes(name));
    writeAddress();
    return loadOrTell();
  }

  const loadOrTell = () => load().catch((error) => { told.textContent = `Not read: ${error.message}`; });

  async function offerNames() {
    const entries = await Published.listed();
    document.getElementById("known").append(...entries.map(({ folder, name }) => make("option", { value: folder }, name)));
  }

  const add = (name, isOn, turn, isIdle) => Plot.addSwitch(controls, name, isOn, (on) => change(turn(on)), isIdle);
  const switches = [
    add("Weeks", weekly, (on) => ({ weeks: on })),
    add("7-day mean", () => state.mean, (on) => ({ mean: on }), weekly),
    add("All downloads", () => state.all, (on) => ({ all: on })),
  ];
  const save = make("button", { type: "button" }, "Save as SVG");
  save.addEventListener("click", () => plot.saveAs(`${packages.map(({ folder }) => folder.replace("/", "-")).join("-")}.svg`));
  controls.append(save);
  box.classList.add("is-live");
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const name = Published.normalise(form.elements.add.value);
    if (!name) return;
    form.reset();
    choose([...new Set([...state.names, name])]);
  });
  form.hidden = false;
  readAddress();
  loadOrTell();
  offerNames().catch((error) => { told.textContent = `Not read: ${error.message}`; });
  addEventListener("hashchange", () => { readAddress(); loadOrTell(); });
}
