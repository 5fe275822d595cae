// The light or dark theme, set before the page is shown: that of the system, unless the person has chosen one.
"use strict";
(() => {
  let kept = null;
  try { kept = localStorage.getItem("jgan-theme"); } catch { /* storage may be forbidden */ }
  if (kept === "light" || kept === "dark") document.documentElement.dataset.theme = kept;
})();
