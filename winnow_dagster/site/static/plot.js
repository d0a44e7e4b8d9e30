// Draws bars and lines over days as SVG, with a crosshair that answers to a pointer and to arrow keys.
"use strict";

const Plot = (() => {
  const DAY = 24 * 60 * 60 * 1000;
  const WEEKLY_FROM = 120;
  const RANGES = [30, 90, 365];
  const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
  const HEIGHT = 320, LEFT = 56, RIGHT = 8, TOP = 24, BOTTOM = 32;
  const FLOOR = HEIGHT - BOTTOM;

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

  // What an address says behind its #. Somebody may have typed a % that encodes nothing.
  function readHash() {
    try { return decodeURIComponent(location.hash.slice(1)); } catch { return ""; }
  }

  // The lengths of charts that so many days are enough for.
  function rangesFor(stored) {
    return RANGES.filter((_, n) => n === 0 || stored > RANGES[n - 1]);
  }

  function addRanges(box, ranges) {
    return ranges.map((days) => {
      const input = make("input", { type: "radio", name: "range", value: days, id: "range" + days, autocomplete: "off" });
      if (ranges.length > 1) box.append(input, make("label", { for: input.id }, `${days} days`));
      return input;
    });
  }

  // A button that is on or off. Returns what shows its state again.
  function addSwitch(controls, name, isOn, turn, isIdle = () => false) {
    const button = make("button", { type: "button" }, name);
    button.addEventListener("click", () => turn(!isOn()));
    controls.append(button);
    return () => {
      button.setAttribute("aria-pressed", isOn());
      button.disabled = isIdle();
    };
  }

  // Days or whole weeks, oldest first. `known` has what `dayAt` returns for their days.
  function binsOf(last, range, length, dayAt) {
    const bins = [];
    for (let end = last; end - (length - 1) * DAY > last - range * DAY; end -= length * DAY) {
      const first = end - (length - 1) * DAY, known = [];
      for (let day = first; day <= end; day += DAY) {
        const found = dayAt(day);
        if (found) known.push(found);
      }
      bins.unshift({ first, last: end, length, known });
    }
    return bins;
  }

  const mean = (bin, value) => bin.known.reduce((sum, day) => sum + (value(day) ?? 0), 0) / (bin.known.length || 1);

  // The mean of the seven days that end here; null if one of them is not known.
  function meanOfWeek(end, valueAt) {
    let sum = 0;
    for (let n = 0; n < 7; n += 1) {
      const value = valueAt(end - n * DAY);
      if (value == null) return null;
      sum += value;
    }
    return sum / 7;
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

  // The colours of the page go along, since a file has no style sheet.
  function save(svg, name) {
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
    const link = make("a", { download: name });
    link.href = URL.createObjectURL(new Blob([copy.outerHTML], { type: "image/svg+xml" }));
    link.click();
    URL.revokeObjectURL(link.href);
  }

  // `tell` returns the lines of text for a bin.
  function addPlot(box, tell) {
    const figure = make("figure", { class: "panel live" });
    const stage = make("div", { class: "stage", tabindex: "0", role: "group" });
    const tip = make("p", { class: "tip", role: "status" });
    const caption = make("figcaption");
    let shown = null, at = null, width = 720, pitch = 0;
    tip.hidden = true;
    stage.append(tip);
    figure.append(stage, caption);
    box.append(figure);

    const left = (n) => LEFT + n * pitch + pitch * 0.1;
    const middle = (n) => LEFT + (n + 0.5) * pitch;

    // `bars` stand on each other. A line breaks where its value is null.
    function show(what) {
      shown = what;
      const { bins, bars = [], lines = [] } = what;
      at = at === null ? null : Math.min(at, bins.length - 1);
      width = Math.max(320, stage.clientWidth);
      pitch = (width - LEFT - RIGHT) / bins.length;
      const sums = bins.map((_, n) => bars.reduce((sum, { values }) => sum + values[n], 0));
      const most = Math.max(1, ...sums, ...lines.flatMap(({ values }) => values.map((value) => value ?? 0)));
      const y = (count) => FLOOR - ((FLOOR - TOP) * count) / most;
      const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
      for (const [key, value] of [["class", "chart"], ["viewBox", `0 0 ${width} ${HEIGHT}`], ["aria-hidden", "true"]]) svg.setAttribute(key, value);
      const paths = (style, path) => { if (path) draw(svg, "path", { class: style, d: path }); };
      drawAxes(svg, bins, most, y);
      paths("missing", bins.map((bin, n) => (bin.known.length ? "" : `M${LEFT + n * pitch} ${TOP}h${pitch}V${FLOOR}h${-pitch}z`)).join(""));
      const floor = bins.map(() => 0);
      const bar = (n, low, high) => `M${left(n).toFixed(1)} ${y(low).toFixed(1)}h${(pitch * 0.8).toFixed(1)}V${y(high).toFixed(1)}h-${(pitch * 0.8).toFixed(1)}z`;
      for (const { style, values } of bars) {
        paths(style, values.map((value, n) => {
          const low = floor[n];
          floor[n] += value;
          return floor[n] > low ? bar(n, low, floor[n]) : "";
        }).join(""));
      }
      what.mark?.({ paths, left, middle, pitch, width, TOP, FLOOR, write: (x, y, words) => draw(svg, "text", { x, y }, words) });
      for (const { style, values } of lines) paths(style, lineOf(values, y));
      draw(svg, "path", { class: "cross", d: "" });
      stage.querySelector("svg")?.remove();
      stage.prepend(svg);
      const unit = bins[0].length > 1 ? "average day of a week" : "day";
      caption.textContent = `${iso(bins[0].first)} to ${iso(bins.at(-1).last)}. Each ${bars.length ? "bar" : "point"} is ${unit === "day" ? "a day" : "the " + unit}.`;
      stage.setAttribute("aria-label", `Chart of ${what.range} days. Arrow keys read each ${bars.length ? "bar" : "point"}.`);
      point(at);
    }

    // A value between two unknown ones becomes a dot.
    function lineOf(values, y) {
      let pen = "M";
      return values.map((value, n) => {
        if (value === null) { pen = "M"; return ""; }
        const found = `${pen}${middle(n).toFixed(1)} ${y(value).toFixed(1)}${pen === "M" ? "h0" : ""}`;
        pen = "L";
        return found;
      }).join("");
    }

    function drawAxes(svg, bins, most, y) {
      const step = stepOf(most);
      for (let count = 0; count <= most; count += step) {
        draw(svg, "path", { class: "line", d: `M${LEFT} ${y(count).toFixed(1)}H${width - RIGHT}` });
        draw(svg, "text", { x: LEFT - 6, y: y(count) + 4, "text-anchor": "end" }, short(count));
      }
      const last = bins.at(-1).last;
      const years = new Date(bins[0].last).getUTCFullYear() !== new Date(last).getUTCFullYear();
      const label = (day) => `${day.getUTCDate()} ${MONTHS[day.getUTCMonth()]}${years ? " " + day.getUTCFullYear() : ""}`;
      const every = Math.ceil(bins.length / Math.max(2, Math.min(7, Math.floor(width / (years ? 140 : 110)))));
      for (let n = bins.length - 1; n >= 0; n -= every) {
        const anchor = n === bins.length - 1 ? "end" : "middle";
        if (middle(n) < LEFT + 10) break;
        draw(svg, "text", { x: anchor === "end" ? width - RIGHT : middle(n), y: HEIGHT - 8, "text-anchor": anchor },
          label(new Date(bins[n].last)));
      }
    }

    // Shows the numbers of a bin. Without one, hides the crosshair.
    function point(n) {
      at = n;
      tip.hidden = n === null;
      stage.querySelector(".cross").setAttribute("d", n === null ? "" : `M${middle(n)} ${TOP}V${FLOOR}`);
      if (n === null) return;
      const bin = shown.bins[n];
      const head = bin.length > 1 ? `${iso(bin.first)} to ${iso(bin.last)}, a day` : iso(bin.last);
      tip.replaceChildren(...[head, ...tell(n)].map((line) => (line instanceof Node ? line : make("span", {}, line))));
      const x = (middle(n) * stage.clientWidth) / width;
      tip.style.left = Math.max(0, x > stage.clientWidth / 2 ? x - tip.offsetWidth - 10 : x + 10) + "px";
    }

    function pointAt(event) {
      const x = ((event.clientX - stage.getBoundingClientRect().left) * width) / stage.clientWidth;
      point(Math.max(0, Math.min(shown.bins.length - 1, Math.floor((x - LEFT) / pitch))));
    }

    stage.addEventListener("pointermove", pointAt);
    stage.addEventListener("pointerdown", pointAt);
    stage.addEventListener("pointerleave", (event) => { if (event.pointerType === "mouse") point(null); });
    stage.addEventListener("blur", () => point(null));
    stage.addEventListener("keydown", (event) => {
      const end = shown.bins.length - 1;
      const next = { ArrowLeft: at === null ? end : Math.max(0, at - 1), ArrowRight: at === null ? 0 : Math.min(end, at + 1), Home: 0, End: end, Escape: null };
      if (!Object.hasOwn(next, event.key) || event.altKey || event.ctrlKey || event.metaKey) return;
      event.preventDefault();
      point(next[event.key]);
    });
    new ResizeObserver(() => { if (shown && stage.clientWidth && Math.max(320, stage.clientWidth) !== width) show(shown); }).observe(stage);

    function saveAs(name) {
      point(null);
      save(stage.querySelector("svg"), name);
    }

    return { show, saveAs };
  }

  return { DAY, WEEKLY_FROM, text, iso, time, make, draw, readHash, rangesFor, addRanges, addSwitch, binsOf, mean, meanOfWeek, addPlot };
})();
