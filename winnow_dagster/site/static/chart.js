// Draws the days of a page's table as a chart that answers to a pointer, to arrow keys and to switches.
"use strict";

{
  const DAY = 24 * 60 * 60 * 1000;
  const WEEKLY_FROM = 120;
  const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
  const HEIGHT = 320, LEFT = 56, RIGHT = 8, TOP = 24, BOTTOM = 32;
  const FLOOR = HEIGHT - BOTTOM;
  const box = document.querySelector("[data-chart]");
  const table = document.querySelector("table.days");

  const text = (number) => Math.round(number).toLocaleString("en");
  const iso = (time) => new Date(time).toISOString().slice(0, 10);
  const time = (day) => Date.parse(day + "T00:00:00Z");

  function make(tag, attributes = {}, content = "") {
    const made = document.createElement(tag);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    made.textContent = content;
    return made;
  }

  function draw(parent, tag, attributes, content = "") {
    const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    made.textContent = content;
    parent.append(made);
    return made;
  }

  // The table has a dash for a number that is not known.
  function readDays() {
    const days = new Map();
    for (const row of table.tBodies[0].rows) {
      const cells = [...row.cells].map((cell) => cell.textContent);
      const counts = cells.slice(1, -1).map((cell) => (/\d/.test(cell) ? Number(cell.replaceAll(",", "")) : null));
      days.set(time(cells[0]), { raw: counts[0], counts: counts.slice(1), note: cells.at(-1) });
    }
    return days;
  }

  function start() {
    const names = [...table.tHead.rows[0].cells].slice(2, -1).map((cell) => cell.textContent);
    const days = readDays();
    const last = Math.max(...days.keys());
    const releases = JSON.parse(box.dataset.releases);
    const ranges = [...box.querySelectorAll("input[name=range]")];
    const state = { days: 30, weeks: null, mean: false, honest: false, off: new Set() };
    let bins = [], at = null;

    // The address has what differs from a page that was just opened: `#365,mean,-ci`.
    function readAddress() {
      let address = "";
      // Somebody may have typed a % that encodes nothing.
      try { address = decodeURIComponent(location.hash.slice(1)); } catch { return; }
      const [first, ...rest] = address.split(",");
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

    const weekly = () => state.weeks ?? state.days >= WEEKLY_FROM;
    const shown = () => names.map((_, n) => n).filter((n) => (state.honest ? n === 0 : !state.off.has(names[n])));
    const total = (day) => shown().reduce((sum, n) => sum + (day.counts[n] ?? 0), 0);

    function makeBins() {
      const length = weekly() ? 7 : 1;
      const found = [];
      for (let end = last; end - (length - 1) * DAY > last - state.days * DAY; end -= length * DAY) {
        const known = [];
        for (let day = end - (length - 1) * DAY; day <= end; day += DAY) {
          if (days.get(day)?.counts.some((count) => count !== null)) known.push(days.get(day));
        }
        const mean = (value) => (known.length ? known.reduce((sum, day) => sum + (value(day) ?? 0), 0) / known.length : 0);
        found.unshift({
          first: end - (length - 1) * DAY,
          last: end,
          length,
          known,
          raw: mean((day) => day.raw),
          counts: names.map((_, n) => mean((day) => day.counts[n])),
          total: mean(total),
          trend: length === 1 ? meanOfWeek(end) : null,
        });
      }
      return found;
    }

    function meanOfWeek(end) {
      let sum = 0;
      for (let n = 0; n < 7; n += 1) {
        const day = days.get(end - n * DAY);
        if (!day) return null;
        sum += total(day);
      }
      return sum / 7;
    }

    const controls = make("div", { class: "tabs controls" });
    const figure = make("figure", { class: "panel live" });
    const stage = make("div", { class: "stage", tabindex: "0", role: "group" });
    const tip = make("p", { class: "tip", role: "status" });
    tip.hidden = true;
    const caption = make("figcaption");
    stage.append(tip);
    figure.append(stage, caption);

    function addSwitch(name, isOn, turn, isIdle = () => false) {
      const button = make("button", { type: "button" }, name);
      button.addEventListener("click", () => {
        turn(!isOn());
        writeAddress();
        render();
      });
      controls.append(button);
      return () => {
        button.setAttribute("aria-pressed", isOn());
        button.disabled = isIdle();
      };
    }

    const switches = [
      addSwitch("Weeks", weekly, (on) => { state.weeks = on; }),
      addSwitch("7-day mean", () => state.mean, (on) => { state.mean = on; }, weekly),
      addSwitch("Honest only", () => state.honest, (on) => { state.honest = on; }),
    ];
    const save = make("button", { type: "button" }, "Save as SVG");
    save.addEventListener("click", saveSvg);
    controls.append(save);

    for (const item of document.querySelectorAll("[data-legend] [data-name]")) {
      const name = item.dataset.name;
      const button = make("button", { type: "button" });
      button.append(...item.childNodes);
      button.addEventListener("click", () => {
        if (!state.off.delete(name)) state.off.add(name);
        state.honest = false;
        writeAddress();
        render();
      });
      item.append(button);
      switches.push(() => button.setAttribute("aria-pressed", shown().includes(names.indexOf(name))));
    }
    for (const input of ranges) {
      input.addEventListener("change", () => {
        Object.assign(state, { days: Number(input.value), weeks: null });
        writeAddress();
        render();
      });
    }

    function stepOf(most) {
      const rough = Math.max(most, 1) / 4;
      const power = 10 ** Math.floor(Math.log10(rough));
      return Math.max(1, [1, 2, 2.5, 5, 10].map((factor) => power * factor)
        .find((step) => step >= rough && (step < 1 || Number.isInteger(step))));
    }

    function short(count) {
      const [size, unit] = [[1e12, "T"], [1e9, "G"], [1e6, "M"], [1e3, "k"], [1, ""]].find(([least]) => count >= least) || [1, ""];
      return +(count / size).toFixed(2) + unit;
    }

    let width = 720, pitch = 0;
    const left = (n) => LEFT + n * pitch + pitch * 0.1;
    const middle = (n) => LEFT + (n + 0.5) * pitch;

    function render() {
      for (const refresh of switches) refresh();
      for (const input of ranges) input.checked = Number(input.value) === state.days;
      bins = makeBins();
      at = at === null ? null : Math.min(at, bins.length - 1);
      width = Math.max(320, stage.clientWidth);
      pitch = (width - LEFT - RIGHT) / bins.length;
      const most = Math.max(1, ...bins.map((bin) => Math.max(bin.total, state.mean ? bin.trend ?? 0 : 0)));
      const y = (count) => FLOOR - ((FLOOR - TOP) * count) / most;
      const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
      svg.setAttribute("class", "chart");
      svg.setAttribute("viewBox", `0 0 ${width} ${HEIGHT}`);
      svg.setAttribute("aria-hidden", "true");
      drawAxes(svg, most, y);
      const bar = (n, low, high) => `M${left(n).toFixed(1)} ${y(low).toFixed(1)}h${(pitch * 0.8).toFixed(1)}V${y(high).toFixed(1)}h-${(pitch * 0.8).toFixed(1)}z`;
      const paths = (style, path) => { if (path) draw(svg, "path", { class: style, d: path }); };
      paths("missing", bins.map((bin, n) => (bin.known.length ? "" : `M${LEFT + n * pitch} ${TOP}h${pitch}V${FLOOR}h${-pitch}z`)).join(""));
      const floor = bins.map(() => 0);
      for (const number of shown()) {
        paths("c-" + names[number], bins.map((bin, n) => {
          const low = floor[n];
          floor[n] += bin.counts[number];
          return floor[n] > low ? bar(n, low, floor[n]) : "";
        }).join(""));
      }
      drawMarks(svg, paths);
      if (state.mean && !weekly()) {
        let pen = "M";
        paths("mean", bins.map((bin, n) => {
          if (bin.trend === null) { pen = "M"; return ""; }
          const point = `${pen}${middle(n).toFixed(1)} ${y(bin.trend).toFixed(1)}`;
          pen = "L";
          return point;
        }).join(""));
      }
      draw(svg, "path", { class: "cross", d: "" });
      stage.querySelector("svg")?.remove();
      stage.prepend(svg);
      const unit = weekly() ? "Each bar is the average day of a week." : "Each bar is a day.";
      caption.textContent = `${iso(bins[0].first)} to ${iso(last)}. ${unit}`;
      stage.setAttribute("aria-label", `Chart of ${state.days} days. Arrow keys read each bar.`);
      point(at);
    }

    function drawAxes(svg, most, y) {
      const step = stepOf(most);
      for (let count = 0; count <= most; count += step) {
        draw(svg, "path", { class: "line", d: `M${LEFT} ${y(count).toFixed(1)}H${width - RIGHT}` });
        draw(svg, "text", { x: LEFT - 6, y: y(count) + 4, "text-anchor": "end" }, short(count));
      }
      const years = new Date(bins[0].last).getUTCFullYear() !== new Date(last).getUTCFullYear();
      const label = (day) => `${day.getUTCDate()} ${MONTHS[day.getUTCMonth()]}${years ? " " + day.getUTCFullYear() : ""}`;
      const every = Math.ceil(bins.length / Math.max(2, Math.min(7, Math.floor(width / 110))));
      for (let n = bins.length - 1; n >= 0; n -= every) {
        const anchor = n === bins.length - 1 ? "end" : "middle";
        if (middle(n) < LEFT + 10) break;
        draw(svg, "text", { x: anchor === "end" ? width - RIGHT : middle(n), y: HEIGHT - 8, "text-anchor": anchor },
          label(new Date(bins[n].last)));
      }
    }

    function drawMarks(svg, paths) {
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
        draw(svg, "text", { x: middle(n) + 6, y: TOP - 7 }, version);
        free = middle(n) + 70;
      }
    }

    // Shows the numbers of a bar. Without one, hides the crosshair.
    function point(n) {
      at = n;
      tip.hidden = n === null;
      const cross = stage.querySelector(".cross");
      cross.setAttribute("d", n === null ? "" : `M${middle(n)} ${TOP}V${FLOOR}`);
      if (n === null) return;
      const bin = bins[n];
      const lines = [bin.length > 1 ? `${iso(bin.first)} to ${iso(bin.last)}, a day` : iso(bin.last)];
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
      tip.replaceChildren(...lines.map((line) => make("span", {}, line)));
      const scale = stage.clientWidth / width;
      const x = middle(n) * scale;
      tip.style.left = Math.max(0, x > stage.clientWidth / 2 ? x - tip.offsetWidth - 10 : x + 10) + "px";
    }

    function pointAt(event) {
      const x = ((event.clientX - stage.getBoundingClientRect().left) * width) / stage.clientWidth;
      point(Math.max(0, Math.min(bins.length - 1, Math.floor((x - LEFT) / pitch))));
    }

    stage.addEventListener("pointermove", pointAt);
    stage.addEventListener("pointerdown", pointAt);
    stage.addEventListener("pointerleave", (event) => { if (event.pointerType === "mouse") point(null); });
    stage.addEventListener("blur", () => point(null));
    stage.addEventListener("keydown", (event) => {
      const end = bins.length - 1;
      const next = { ArrowLeft: at === null ? end : Math.max(0, at - 1), ArrowRight: at === null ? 0 : Math.min(end, at + 1), Home: 0, End: end, Escape: null };
      if (!Object.hasOwn(next, event.key) || event.altKey || event.ctrlKey || event.metaKey) return;
      event.preventDefault();
      point(next[event.key]);
    });

    // The colours of the page go along, since a file has no style sheet.
    function saveSvg() {
      point(null);
      const svg = stage.querySelector("svg");
      const copy = svg.cloneNode(true);
      const originals = [svg, ...svg.querySelectorAll("*")];
      [copy, ...copy.querySelectorAll("*")].forEach((element, n) => {
        const style = getComputedStyle(originals[n]);
        element.removeAttribute("class");
        for (const key of ["fill", "fill-opacity", "stroke", "stroke-width", "stroke-dasharray", "font-size"]) element.setAttribute(key, style.getPropertyValue(key));
      });
      copy.setAttribute("xmlns", "http://www.w3.org/2000/svg");
      copy.setAttribute("font-family", "system-ui, sans-serif");
      copy.removeAttribute("aria-hidden");
      const link = make("a", { download: `${box.dataset.name}-${state.days}-days.svg` });
      link.href = URL.createObjectURL(new Blob([copy.outerHTML], { type: "image/svg+xml" }));
      link.click();
      URL.revokeObjectURL(link.href);
    }

    box.classList.add("is-live");
    box.querySelector("figure").before(controls);
    box.append(figure);
    readAddress();
    render();
    new ResizeObserver(() => { if (stage.clientWidth && Math.max(320, stage.clientWidth) !== width) render(); }).observe(stage);
    addEventListener("hashchange", () => { readAddress(); render(); });
  }

  if (box && table) start();
}
