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
  // When it is about to be followed: a page can have tens of thousands of links.
  const complete = (event) => {
    const link = event.target.closest && event.target.closest("a[href]");
    if (link && !link.getAttribute("href").startsWith("#")) link.href = withKey(link.href);
  };
  for (const kind of ["pointerdown", "focusin", "click", "contextmenu"]) document.addEventListener(kind, complete, true);
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
// Times in the reader's time zone, with UTC in the tooltip. A reader whose zone is UTC sees them as they are.
const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
const isUtc = new Date().getTimezoneOffset() === 0 && /UTC|GMT/.test(zone);
const local = (page) => {
  if (isUtc) return;
  for (const time of page.querySelectorAll("time[datetime]")) {
    const moment = new Date(time.dateTime);
    if (Number.isNaN(moment.getTime())) continue;
    const two = (number) => String(number).padStart(2, "0");
    const day = [moment.getFullYear(), two(moment.getMonth() + 1), two(moment.getDate())].join("-");
    time.title = time.textContent;
    time.textContent = day + " " + two(moment.getHours()) + ":" + two(moment.getMinutes());
  }
};
local(document);
const note = document.getElementById("zone");
if (note && !isUtc && document.querySelector("time")) {
  note.textContent = "Times are in the zone " + zone + "; hold the pointer over one for UTC.";
  note.hidden = false;
}
const next = document.querySelector("a[data-next]");
if (next) {
  const url = new URL(next.href);
  if (key) url.searchParams.set("code", key);
  location.replace(url);
}
// A run that goes on: its parts of the page are brought up to date, and the whole page once it has a plan or has ended.
const live = Array.from(document.querySelectorAll("[data-live]"));
if (live.length > 0) {
  const touched = () =>
    Array.from(document.querySelectorAll("form input:not([type=hidden]),form textarea")).some((field) =>
      field.type === "checkbox" ? field.checked : field.value !== "",
    );
  const look = async () => {
    try {
      const answer = await fetch(location.href, { headers: { Accept: "text/html" } });
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      local(page);
      const now = page.querySelectorAll("[data-live]");
      if (now.length === live.length) {
        live.forEach((part, at) => part.replaceChildren(...now[at].childNodes));
      } else if (answer.ok && !touched()) {
        location.reload();
        return;
      } else if (answer.ok && now.length === 0) {
        live[0].textContent = "The run has ended: reload this page to see what came of it.";
        return;
      }
    } catch {
      // The network was away: asked again.
    }
    setTimeout(look, Number(live[0].dataset.live));
  };
  setTimeout(look, Number(live[0].dataset.live));
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
const wanted = { kind: "", rule: "", takes: false };
// Only the rows of the plan have a kind, and only they are filtered by it.
const fits = (row) =>
  row.dataset.kind === undefined ||
  ((!wanted.kind || row.dataset.kind === wanted.kind) &&
    (!wanted.rule || row.dataset.rules.split(" ").includes(wanted.rule)) &&
    (!wanted.takes || row.dataset.takes !== undefined));
const show = (list) => {
  if (words.length > 0 && !list.texts) list.texts = list.rows.map((row) => row.textContent.toLowerCase());
  let hits = 0;
  list.rows.forEach((row, at) => {
    const hit = words.every((word) => list.texts[at].includes(word)) && fits(row);
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
    const filtered = wanted.kind !== "" || wanted.rule !== "" || wanted.takes;
    const hit = new Set();
    let count = 0;
    for (const list of lists) {
      const isPlan = list.rows.length > 0 && list.rows[0].dataset.kind !== undefined;
      list.limit = PAGE;
      const hits = show(list);
      // A filter is about the plan alone.
      if (words.length > 0 || isPlan) count += hits;
      if (hits > 0 && (words.length > 0 || isPlan)) hit.add(list.group);
      const isSearched = words.length > 0 || (isPlan && filtered);
      if (list.group) list.group.hidden = isSearched && hits === 0;
    }
    groups.forEach((group, at) => {
      group.open = words.length > 0 || filtered ? hit.has(group) : opened[at];
    });
    found.textContent = words.length > 0 || filtered ? count + " found" : "";
  };
  const orders = {
    address: (row) => row.querySelector(".who").textContent,
    rule: (row) => row.dataset.rules,
    "removes access first": (row) => (row.dataset.takes === undefined ? "1" : "0"),
  };
  const planned = new Map(lists.map((list) => [list, list.rows]));
  const sort = (order) => {
    const key = orders[order];
    for (const list of lists) {
      if (list.rows.length < 2 || list.rows[0].dataset.kind === undefined) continue;
      const rows = planned.get(list).map((row) => [key ? key(row) : "", row]);
      if (key) rows.sort(([one], [other]) => (one < other ? -1 : one > other ? 1 : 0));
      list.rows = rows.map(([, row]) => row);
      list.texts = null;
      list.rows[0].parentElement.replaceChildren(...list.rows);
    }
  };
  const choose = (id, change) => {
    const choice = document.getElementById(id);
    if (choice) choice.addEventListener("change", () => { change(choice); look(); });
  };
  choose("kind", (choice) => (wanted.kind = choice.value));
  choose("rule", (choice) => (wanted.rule = choice.value));
  choose("takes", (choice) => (wanted.takes = choice.checked));
  choose("order", (choice) => sort(choice.value));
  field.addEventListener("input", () => {
    clearTimeout(waiting);
    waiting = setTimeout(look, 150);
  });
}
