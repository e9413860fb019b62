"use strict";
// The server never sees the key of this address, so the page hands it on: to links and forms of this same site only.
const key = new URLSearchParams(location.search).get("code");
if (key) {
  const withKey = (address) => {
    const url = new URL(address, location.href);
    if (url.origin !== location.origin) return address;
    url.searchParams.set("code", key);
    return url.href;
  };
  for (const link of document.querySelectorAll("a[href]")) {
    if (!link.getAttribute("href").startsWith("#")) link.href = withKey(link.href);
  }
  for (const form of document.forms) {
    if (form.method === "get") {
      const field = document.createElement("input");
      field.type = "hidden";
      field.name = "code";
      field.value = key;
      form.append(field);
    } else {
      form.action = withKey(form.action);
    }
  }
}
// An account has a path of its own; without script the form asks with a parameter.
for (const form of document.querySelectorAll("form[data-path]")) {
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const field = form.querySelector("input[type=search],input[type=text]");
    const url = new URL(form.dataset.path + encodeURIComponent(field.value.trim()), location.href);
    url.searchParams.set("format", "html");
    if (key) url.searchParams.set("code", key);
    if (field.value.trim()) location.assign(url);
  });
}
const next = document.querySelector("a[data-next]");
if (next) location.replace(next.href);
// A run that goes on: its part of the page is brought up to date, and the whole page once it has ended.
const live = document.querySelector("[data-live]");
if (live) {
  const touched = () =>
    Array.from(document.querySelectorAll("form input:not([type=hidden]),form textarea")).some((field) =>
      field.type === "checkbox" ? field.checked : field.value !== "",
    );
  const look = async () => {
    try {
      const answer = await fetch(location.href, { headers: { Accept: "text/html" } });
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      const now = page.querySelector("[data-live]");
      if (now) {
        live.replaceChildren(...now.childNodes);
      } else if (answer.ok && !touched()) {
        location.reload();
        return;
      } else if (answer.ok) {
        live.textContent = "The run has ended: reload this page to see what came of it.";
        return;
      }
    } catch {
      // The network was away: asked again.
    }
    setTimeout(look, Number(live.dataset.live));
  };
  setTimeout(look, Number(live.dataset.live));
}
// Long lists come in pages, so that tens of thousands of rows are no burden; the search looks at all of them.
const PAGE = 200;
const lists = Array.from(document.querySelectorAll("ul.rows,tbody"), (list) => {
  const more = document.createElement("button");
  more.type = "button";
  more.className = "second";
  more.hidden = true;
  if (list.tagName === "UL") list.after(more);
  return { rows: Array.from(list.children), texts: null, more, limit: PAGE, group: list.closest("details") };
});
let words = [];
const show = (list) => {
  if (words.length > 0 && !list.texts) list.texts = list.rows.map((row) => row.textContent.toLowerCase());
  let hits = 0;
  list.rows.forEach((row, at) => {
    const hit = words.every((word) => list.texts[at].includes(word));
    if (hit) hits += 1;
    const hidden = !hit || hits > list.limit;
    if (row.hidden !== hidden) row.hidden = hidden;
  });
  const rest = hits - list.limit;
  list.more.hidden = rest <= 0;
  list.more.textContent = "Show " + Math.min(PAGE, rest) + " more of " + rest;
  return hits;
};
for (const list of lists) {
  list.more.addEventListener("click", () => {
    const next = list.rows.find((row) => row.hidden);
    list.limit += PAGE;
    show(list);
    if (list.more.hidden && next) {
      next.tabIndex = -1;
      next.focus();
    }
  });
  if (list.rows.length > PAGE) show(list);
}
// A link to a part of the page leads to something that can be seen.
const part = location.hash.length > 1 && document.getElementById(location.hash.slice(1));
if (part) for (const group of part.querySelectorAll("details")) group.open = true;
const search = document.getElementById("search");
if (search && lists.some((list) => list.rows.length > 0)) {
  search.hidden = false;
  const field = search.querySelector("input");
  const found = search.querySelector("output");
  const groups = Array.from(document.querySelectorAll("details"));
  const opened = groups.map((group) => group.open);
  let waiting = 0;
  const look = () => {
    words = field.value.toLowerCase().split(/\s+/).filter(Boolean);
    const hit = new Set();
    let count = 0;
    for (const list of lists) {
      list.limit = PAGE;
      const hits = show(list);
      count += hits;
      if (hits > 0) hit.add(list.group);
    }
    groups.forEach((group, at) => {
      group.open = words.length > 0 ? hit.has(group) : opened[at];
    });
    found.textContent = words.length > 0 ? count + " found" : "";
  };
  field.addEventListener("input", () => {
    clearTimeout(waiting);
    waiting = setTimeout(look, 150);
  });
}
