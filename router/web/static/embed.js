// Puts the contact page into a page of the district's site, where this script stands:
// <script src="https://contact.example.org/static/embed.js" data-form="contact" data-lang="es" async></script>
"use strict";
(() => {
  const script = document.currentScript;
  const root = script.src.replace(/\/static\/embed\.js.*$/, "");
  const { form = "contact", lang = "", title = "Contact us" } = script.dataset;
  const frame = document.createElement("iframe");
  frame.src = `${root}/forms/${encodeURIComponent(form)}?embed=1${lang && `&lang=${encodeURIComponent(lang)}`}`;
  frame.title = title;
  Object.assign(frame.style, { width: "100%", height: "60rem", border: "0", colorScheme: "light dark" });
  window.addEventListener("message", ({ source, origin, data }) => {
    if (source !== frame.contentWindow || origin !== new URL(root).origin) return;
    if (data?.signpost === "height" && data.height > 0) frame.style.height = `${Math.min(data.height, 10000)}px`;
  });
  script.after(frame);
})();
