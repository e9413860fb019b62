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
      group.open = words.length > 0 ? hit.has(group) && count <= 500 : opened[at];
    });
    found.textContent = words.length > 0 ? count + " found" : "";
  };
  field.addEventListener("input", () => {
    clearTimeout(waiting);
    waiting = setTimeout(look, 150);
  });
}
