// Draws the days of a page's table as a chart that answers to a pointer, to arrow keys and to switches.
"use strict";

function startChart(box, table) {
  const { text, time, make, readHash } = Plot;
  const names = [...table.tHead.rows[0].cells].slice(2, -1).map((cell) => cell.textContent);
  const days = readDays();
  const last = Math.max(...days.keys());
  const releases = JSON.parse(box.dataset.releases);
  const ranges = [...box.querySelectorAll("input[name=range]")];
  const state = { days: 30, weeks: null, mean: false, honest: false, off: new Set() };
  let bins = [];

  // The table has a dash for a number that is not known.
  function readDays() {
    const found = new Map();
    for (const row of table.tBodies[0].rows) {
      const cells = [...row.cells].map((cell) => cell.textContent);
      const counts = cells.slice(1, -1).map((cell) => (/\d/.test(cell) ? Number(cell.replaceAll(",", "")) : null));
      found.set(time(cells[0]), { raw: counts[0], counts: counts.slice(1), note: cells.at(-1) });
    }
    return found;
  }

  // The address has what differs from a page that was just opened: `#365,mean,-ci`.
  function readAddress() {
    const [first, ...rest] = readHash().split(",");
    if (!ranges.some((input) => input.value === first) && first !== "30") return;
    state.days = Number(first);
    state.weeks = rest.includes("weeks") ? true : rest.includes("days") ? false : null;
    state.mean = rest.includes("mean");
    state.honest = rest.includes("honest");
    state.off = new Set(names.filter((name) => rest.includes("-" + name)));
  }

  function writeAddress() {
    const parts = [state.days, ...(state.weeks === null ? [] : [state.weeks ? "weeks" : "days"])];
    if (state.mean) parts.push("mean");
    if (state.honest) parts.push("honest");
    parts.push(...[...state.off].map((name) => "-" + name));
    history.replaceState(null, "", "#" + parts.join(","));
  }

  const weekly = () => state.weeks ?? state.days >= Plot.WEEKLY_FROM;
  const shown = () => names.map((_, n) => n).filter((n) => (state.honest ? n === 0 : !state.off.has(names[n])));
  const total = (day) => day && shown().reduce((sum, n) => sum + (day.counts[n] ?? 0), 0);

  function makeBins() {
    const known = (day) => days.get(day)?.counts.some((count) => count !== null) && days.get(day);
    const found = Plot.binsOf(last, state.days, weekly() ? 7 : 1, known);
    for (const bin of found) {
      bin.raw = Plot.mean(bin, (day) => day.raw);
      bin.counts = names.map((_, n) => Plot.mean(bin, (day) => day.counts[n]));
      bin.trend = weekly() ? null : Plot.meanOfWeek(bin.last, (day) => total(days.get(day)));
    }
    return found;
  }

  function change(turn) {
    turn();
    writeAddress();
    render();
  }

  const controls = make("div", { class: "tabs controls" });
  const add = (name, isOn, turn, isIdle) => Plot.addSwitch(controls, name, isOn, (on) => change(() => turn(on)), isIdle);
  const switches = [
    add("Weeks", weekly, (on) => { state.weeks = on; }),
    add("7-day mean", () => state.mean, (on) => { state.mean = on; }, weekly),
    add("Honest only", () => state.honest, (on) => { state.honest = on; }),
  ];
  box.append(controls);
  const plot = Plot.addPlot(box, tell);
  const save = make("button", { type: "button" }, "Save as SVG");
  save.addEventListener("click", () => plot.saveAs(`${box.dataset.name}-${state.days}-days.svg`));
  controls.append(save);

  for (const item of document.querySelectorAll("[data-legend] [data-name]")) {
    const name = item.dataset.name;
    const button = make("button", { type: "button" });
    button.append(...item.childNodes);
    button.addEventListener("click", () => change(() => {
      if (!state.off.delete(name)) state.off.add(name);
      state.honest = false;
    }));
    item.append(button);
    switches.push(() => button.setAttribute("aria-pressed", shown().includes(names.indexOf(name))));
  }
  for (const input of ranges) {
    input.addEventListener("change", () => change(() => Object.assign(state, { days: Number(input.value), weeks: null })));
  }

  function render() {
    for (const refresh of switches) refresh();
    for (const input of ranges) input.checked = Number(input.value) === state.days;
    bins = makeBins();
    plot.show({
      bins,
      range: state.days,
      bars: shown().map((n) => ({ style: "c-" + names[n], values: bins.map((bin) => bin.counts[n]) })),
      lines: state.mean && !weekly() ? [{ style: "mean", values: bins.map((bin) => bin.trend) }] : [],
      mark,
    });
  }

  function mark({ paths, left, middle, pitch, width, TOP, FLOOR, write }) {
    const noted = (word) => bins.map((bin, n) => (bin.known.some((day) => day.note.includes(word)) ? n : null)).filter((n) => n !== null);
    paths("provisional", noted("provisional").map((n) => `M${left(n)} ${FLOOR + 4}h${pitch * 0.8}`).join(""));
    paths("short", noted("rows lost").map((n) => `M${middle(n)} ${FLOOR + 2}l4 7h-8z`).join(""));
    paths("gap", bins.map((bin, n) => (bin.known.length && bin.known.length < bin.length ? `M${left(n)} ${FLOOR + 1}h${pitch * 0.8}v3h${-pitch * 0.8}z` : "")).join(""));
    const place = (day) => bins.findIndex((bin) => bin.first <= time(day) && time(day) <= bin.last);
    const changed = place(box.dataset.logChanged);
    if (changed >= 0) paths("event", `M${middle(changed)} ${TOP - 8}V${FLOOR}`);
    let free = 0;
    for (const [version, day] of [...releases].sort((one, other) => (one[1] < other[1] ? -1 : 1))) {
      const n = place(day);
      if (n < 0) continue;
      paths("release", `M${middle(n)} ${TOP - 1}l-4 -7h8z`);
      if (middle(n) < free || middle(n) > width - 60) continue;
      write(middle(n) + 6, TOP - 7, version);
      free = middle(n) + 70;
    }
  }

  function tell(n) {
    const bin = bins[n], lines = [];
    if (!bin.known.length) lines.push("missing: not read");
    else {
      lines.push(...shown().filter((number) => bin.counts[number]).map((number) => `${names[number]} ${text(bin.counts[number])}`));
      lines.push(`raw ${text(bin.raw)}`);
      if (state.mean && bin.trend !== null) lines.push(`7-day mean ${text(bin.trend)}`);
      lines.push(...new Set(bin.known.map((day) => day.note).filter((note) => /[a-z]/.test(note) && note !== "settled")));
      if (bin.known.length < bin.length) lines.push(`${bin.length - bin.known.length} days missing`);
    }
    lines.push(...releases.filter(([, day]) => bin.first <= time(day) && time(day) <= bin.last).map(([version]) => "first download of " + version));
    const changed = time(box.dataset.logChanged);
    if (bin.first <= changed && changed <= bin.last) lines.push("PyPI's log changed");
    return lines;
  }

  box.classList.add("is-live");
  readAddress();
  render();
  addEventListener("hashchange", () => { readAddress(); render(); });
}

// The page of `*` fills its table first.
if (document.querySelector("[data-chart] figure")) startChart(document.querySelector("[data-chart]"), document.querySelector("table.days"));
