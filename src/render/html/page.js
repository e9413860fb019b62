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
const search = document.getElementById("search");
const rows = Array.from(document.querySelectorAll("ul.rows>li,tbody>tr"));
if (search && rows.length > 0) {
  search.hidden = false;
  const field = search.querySelector("input");
  const found = search.querySelector("output");
  const texts = rows.map((row) => row.textContent.toLowerCase());
  const groups = Array.from(document.querySelectorAll("details"));
  const opened = groups.map((group) => group.open);
  let waiting = 0;
  const look = () => {
    const words = field.value.toLowerCase().split(/\s+/).filter(Boolean);
    let count = 0;
    const hit = new Set();
    rows.forEach((row, at) => {
      const shown = words.every((word) => texts[at].includes(word));
      row.hidden = !shown;
      if (shown) {
        count += 1;
        hit.add(row.closest("details"));
      }
    });
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
