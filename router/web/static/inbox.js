// News of what has come, and keys to go through the list; everything else works without this file.
"use strict";

const news = document.getElementById("news");
const title = document.title;
let fresh = 0;

const listen = () => {
  new EventSource(`${news.dataset.address}&after=${news.dataset.after}`).onmessage = (event) => {
    fresh += Number(event.data);
    document.title = `(${fresh}) ${title}`;
    news.firstElementChild.textContent = `${fresh} new or moved ${fresh === 1 ? "message" : "messages"}. Show`;
    news.hidden = false;
  };
};
if (news.dataset.after) listen();

const links = [...document.querySelectorAll(".lines .what a")];

// Who comes back from a message goes on where they were.
const LAST = "signpost-last";
document.addEventListener("click", (event) => {
  if (links.includes(event.target)) sessionStorage.setItem(LAST, event.target.pathname);
});
if (performance.getEntriesByType("navigation")[0]?.type === "back_forward") {
  links.find((link) => link.pathname === sessionStorage.getItem(LAST))?.focus();
}

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
