// One key presses the button that shows it; everything works without this file.
"use strict";

document.addEventListener("keydown", (event) => {
  const writing = event.target.closest("input, textarea, select, [contenteditable]");
  if (writing || event.repeat || event.ctrlKey || event.metaKey || event.altKey) return;
  if (!/^[0-9a-z]$/i.test(event.key)) return;
  const wanted = document.querySelector(`[data-key="${event.key.toLowerCase()}"]`);
  if (!wanted || document.body.dataset.pressed) return;
  event.preventDefault();
  if (wanted.tagName === "BUTTON") document.body.dataset.pressed = "yes"; // a second key isn't for this message
  wanted.click();
});
