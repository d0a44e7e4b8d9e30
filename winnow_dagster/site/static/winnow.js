// What a page can do beyond being read: tell that it is old, offer its badges, copy snippets.
"use strict";

const RESET_AFTER = 2000;
const DAY = 24 * 60 * 60 * 1000;

// As-of against the reader's own clock: a pipeline that died cannot say so itself.
function ageInDays(day) {
  return Math.floor((Date.now() - Date.parse(day + "T00:00:00Z")) / DAY);
}

function tellAge() {
  const main = document.querySelector("main[data-as-of]");
  if (!main) return;
  const threshold = Number(main.dataset.staleDays);
  const banner = document.querySelector("[data-stale]");
  const age = ageInDays(main.dataset.asOf);
  if (banner && age > threshold) {
    banner.querySelector("[data-age]").textContent = age;
    banner.hidden = false;
  }
  for (const time of document.querySelectorAll("td time")) {
    if (ageInDays(time.dateTime) > threshold) {
      time.classList.add("stale");
      time.title = "older than " + threshold + " days";
    }
  }
}

// The address of the site, where the config did not say it: this page's own, up to its folder.
function fillRoot() {
  const note = document.querySelector("[data-fill]");
  if (!note) return;
  const home = document.querySelector("nav a").href.replace(/\/$/, "");
  const placeholder = note.dataset.fill;
  for (const code of document.querySelectorAll(".snippet code")) {
    code.textContent = code.textContent
      .replaceAll(encodeURIComponent(placeholder), encodeURIComponent(home))
      .replaceAll(placeholder, home);
  }
  note.remove();
}

async function copy(text, code) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    // Without HTTPS there is no clipboard: select the text, so that a key press copies it.
    const range = document.createRange();
    range.selectNodeContents(code);
    const selection = getSelection();
    selection.removeAllRanges();
    selection.addRange(range);
    return document.execCommand("copy");
  }
}

function addCopying() {
  for (const snippet of document.querySelectorAll(".snippet")) {
    const code = snippet.querySelector("code");
    const button = document.createElement("button");
    button.type = "button";
    const tell = (word) => {
      button.textContent = word;
      button.setAttribute("aria-label", word + " " + snippet.querySelector("pre").getAttribute("aria-label"));
    };
    let timer;
    tell("Copy");
    button.addEventListener("click", async () => {
      tell((await copy(code.textContent, code)) ? "Copied" : "Selected");
      clearTimeout(timer);
      timer = setTimeout(() => tell("Copy"), RESET_AFTER);
    });
    snippet.append(button);
  }
}

// Each picture of a badge becomes a button that fills the snippets with its address and its words.
function addPicking() {
  const badges = [...document.querySelectorAll("[data-badges] > li")];
  if (!badges.length) return;
  const codes = [...document.querySelectorAll("#show ~ .snippet code")].map((code) => [code, code.textContent]);
  const first = badges[0].dataset;
  const buttons = badges.map((item) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(item.querySelector("img"));
    button.addEventListener("click", () => pick(item.dataset, button));
    item.append(button);
    return button;
  });
  function pick({ stem, alt }, button) {
    for (const each of buttons) each.setAttribute("aria-pressed", each === button);
    for (const [code, text] of codes) {
      code.textContent = text
        .replaceAll(first.stem + ".json", encodeURIComponent(stem + ".json"))
        .replaceAll(first.stem + ".svg", stem + ".svg")
        .replaceAll(first.alt, alt);
    }
  }
  pick(first, buttons[0]);
  document.querySelector("[data-pick]").hidden = false;
}

tellAge();
fillRoot();
addPicking();
addCopying();
