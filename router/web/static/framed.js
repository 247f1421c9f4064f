// In a frame on the district's own site: tell the page around it how high this page is. Without it the frame scrolls.
"use strict";
const tell = () => {
  if (window.parent !== window) {
    window.parent.postMessage({ signpost: "height", height: Math.ceil(document.body.scrollHeight) }, "*");
  }
};
new ResizeObserver(tell).observe(document.body);
window.addEventListener("load", tell);
