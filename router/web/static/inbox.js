// News of what has come, and keys to go through the list; everything else works without this file.
"use strict";

const news = document.getElementById("news");
let fresh = 0;

new EventSource(`${news.dataset.address}?since=${news.dataset.since}`).onmessage = (event) => {
  fresh += Number(event.data);
  news.firstElementChild.textContent = `${fresh} new or moved ${fresh === 1 ? "message" : "messages"}. Show`;
  news.hidden = false;
};

const links = [...document.querySelectorAll(".lines .what a")];

document.addEventListener("keydown", (event) => {
  const writing = event.target.closest("input, textarea, select, [contenteditable]");
  if (writing || event.ctrlKey || event.metaKey || event.altKey) return;
  const step = { j: 1, k: -1 }[event.key];
  if (step) {
    const at = links.indexOf(document.activeElement);
    links[Math.min(Math.max(at + step, 0), links.length - 1)]?.focus();
  } else if (event.key === "/") {
    event.preventDefault();
    document.getElementById("q").focus();
  }
});
