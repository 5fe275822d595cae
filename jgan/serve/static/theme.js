// Light or dark, before anything is painted: the system's choice until the person makes one.
"use strict";
(() => {
  let kept = null;
  try { kept = localStorage.getItem("jgan-theme"); } catch { /* storage may be forbidden */ }
  if (kept === "light" || kept === "dark") document.documentElement.dataset.theme = kept;
})();
