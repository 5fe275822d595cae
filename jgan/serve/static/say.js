// What the page tells a person beside pictures: a sentence for screen readers, and one for all when something is wrong.

const $ = (id) => document.getElementById(id);
let timer = 0;

/** For screen readers only; what eyes see anyway. */
export function whisper(text) {
  if ($("live").textContent !== text) $("live").textContent = text;
}

/** A short notice at the bottom; it goes by itself. */
export function say(text, kind = "note") {
  const toast = $("toast");
  toast.textContent = text;
  toast.dataset.kind = kind;
  toast.hidden = false;
  clearTimeout(timer);
  timer = setTimeout(() => (toast.hidden = true), kind === "error" ? 8000 : 3500);
}

/** The same for an error: anything thrown. */
export function complain(error) {
  say(error.message ?? String(error), "error");
}

/** Sets a progress bar to a part of 1; below 0: it runs without an end. */
export function progress(bar, done) {
  const unknown = !(done >= 0);
  bar.classList.toggle("endless", unknown);
  bar.firstElementChild.style.width = unknown ? "" : `${Math.round(100 * Math.min(1, done))}%`;
  if (bar.getAttribute("role") === "progressbar" && !unknown) {
    bar.setAttribute("aria-valuenow", Math.round(100 * done));
  }
}
