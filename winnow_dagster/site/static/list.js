// The list of packages: its window, order and search, and packages to compare. The address keeps all of it.
"use strict";

{
  const MAX_COMPARED = 6;
  const table = document.querySelector("table.packages");
  const rows = [...table.tBodies[0].rows];
  const headers = [...table.tHead.rows[0].cells];
  const inputs = [...document.querySelectorAll("input[name=window]")];
  const search = document.getElementById("search");
  const first = headers.find((header) => header.hasAttribute("aria-sort"));
  const usual = first ? "-" + first.dataset.key : "";
  const state = {};
  const boxes = new Map();

  // `#window=7&sort=-share&search=oat&compare=a,b`; a minus means largest first.
  function readAddress() {
    const said = new URLSearchParams(location.hash.slice(1));
    const window = inputs.find((input) => input.value === said.get("window")) ?? inputs[0];
    const sort = said.get("sort") ?? usual;
    state.window = window?.value;
    state.sort = headers.some((header) => header.dataset.key === sort.replace("-", "")) ? sort : usual;
    state.search = said.get("search") ?? "";
    state.compare = (said.get("compare") ?? "").split(",").filter((folder) => boxes.has(folder)).slice(0, MAX_COMPARED);
    if (window) window.checked = true;
    search.value = state.search;
    for (const [folder, box] of boxes) box.checked = state.compare.includes(folder);
  }

  function writeAddress() {
    const said = new URLSearchParams();
    if (inputs.length && state.window !== inputs[0].value) said.set("window", state.window);
    if (state.sort !== usual) said.set("sort", state.sort);
    if (state.search) said.set("search", state.search);
    if (state.compare.length) said.set("compare", state.compare.join(","));
    const hash = said.toString().replaceAll("%2C", ",").replaceAll("%2F", "/");
    history.replaceState(null, "", hash ? "#" + hash : location.pathname + location.search);
  }

  // Rows are sorted by what their cells show over the chosen window.
  function shownIn(row, column) {
    const cell = row.cells[column];
    const at = inputs.findIndex((input) => input.checked) + 1;
    const shown = cell.querySelector(`:scope > .in${at}`) ?? cell;
    // The first text of a cell: a day may stand below its number.
    return cell.dataset.value ?? [...shown.childNodes].find((node) => node.nodeType === Node.TEXT_NODE && node.data.trim())?.data.trim() ?? "";
  }

  function numberIn(row, column) {
    const shown = shownIn(row, column).replaceAll(",", "");
    if (shown === "about the same") return 0;
    const digits = shown.match(/[\d.]+/);
    return digits && Number(digits[0]) * (shown.startsWith("▼") ? -1 : 1);
  }

  function sort() {
    const key = state.sort.replace("-", ""), sign = state.sort.startsWith("-") ? -1 : 1;
    const column = headers.findIndex((header) => header.dataset.key === key);
    for (const header of headers) header.removeAttribute("aria-sort");
    if (column < 0) return;
    headers[column].setAttribute("aria-sort", sign < 0 ? "descending" : "ascending");
    const valueIn = headers[column].dataset.sort === "number" ? numberIn : shownIn;
    const values = new Map(rows.map((row) => [row, valueIn(row, column)]));
    // What has no number is last in both orders.
    const compare = (one, other) => {
      const [a, b] = [values.get(one), values.get(other)];
      if (a === null || b === null) return (a === null) - (b === null);
      return a < b ? -sign : a > b ? sign : 0;
    };
    const sorted = [...rows].sort(compare), body = table.tBodies[0];
    // Moving rows costs a layout of the whole list. The server has already sorted them in the usual order.
    if (sorted.some((row, at) => row !== body.children[at])) body.append(...sorted);
  }

  function filter() {
    const words = state.search.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    for (const row of rows) {
      const name = row.cells[0].dataset.value.toLowerCase();
      row.hidden = !words.every((word) => name.includes(word));
      if (!row.hidden) shown += 1;
    }
    document.querySelector("[data-found]").textContent = words.length ? `${shown} of ${rows.length}` : "";
    const all = document.querySelector("[data-everything]");
    if (all) all.href = "_packages/" + (words.length ? "#search=" + encodeURIComponent(state.search.trim()) : "");
  }

  function offerComparison() {
    const link = document.querySelector("[data-compare]"), count = state.compare.length;
    link.href = "compare.html" + (count ? "#" + state.compare.join(",") : "");
    link.textContent = count ? `Compare ${count === 1 ? "this package" : count + " packages"}` : "Compare packages in one chart";
    link.parentElement.classList.toggle("is-picked", count > 0);
    document.querySelector("[data-picked]").textContent = count === MAX_COMPARED ? "Six at most." : "";
    for (const box of boxes.values()) box.disabled = !box.checked && count === MAX_COMPARED;
  }

  function change(what) {
    Object.assign(state, what);
    writeAddress();
    render();
  }

  function render() {
    sort();
    filter();
    offerComparison();
  }

  for (const header of headers.filter((each) => each.dataset.key)) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = header.textContent;
    header.replaceChildren(button);
    const orders = [header.dataset.key, "-" + header.dataset.key];
    if (header.dataset.sort === "number") orders.reverse();
    button.addEventListener("click", () => change({ sort: state.sort === orders[0] ? orders[1] : orders[0] }));
  }
  for (const row of rows) {
    const box = document.createElement("input");
    box.type = "checkbox";
    box.autocomplete = "off";
    box.setAttribute("aria-label", `Compare ${row.cells[0].dataset.value}`);
    box.addEventListener("change", () => {
      const others = state.compare.filter((folder) => folder !== row.dataset.folder);
      change({ compare: box.checked ? [...others, row.dataset.folder] : others });
    });
    row.cells[0].prepend(box);
    boxes.set(row.dataset.folder, box);
  }
  for (const input of inputs) input.addEventListener("change", () => change({ window: input.value }));
  search.addEventListener("input", () => change({ search: search.value }));
  search.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || !state.search.trim()) return;
    const found = [...table.tBodies[0].rows].find((row) => !row.hidden)?.querySelector("a") ?? document.querySelector("[data-everything]");
    found?.click();
  });
  search.closest(".search").hidden = false;
  readAddress();
  render();
  addEventListener("hashchange", () => { readAddress(); render(); });
}
