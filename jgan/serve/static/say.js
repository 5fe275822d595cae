// Sentences for the person: for screen readers, and short notices for all.

const $ = (id) => document.getElementById(id);
let timer = 0;

/** A sentence for screen readers only, about a change that others see. */
export function whisper(text) {
  if ($("live").textContent !== text) $("live").textContent = text;
}

/** A short notice at the bottom, which disappears after a while. */
export function say(text, kind = "note") {
  const toast = $("toast");
  toast.textContent = text;
  toast.dataset.kind = kind;
  toast.hidden = false;
  clearTimeout(timer);
  timer = setTimeout(() => (toast.hidden = true), kind === "error" ? 8000 : 3500);
}

/** A notice about an error that was thrown. */
export function complain(error) {
  say(error.message ?? String(error), "error");
}

/** Sets a progress bar to a share of 1; below 0 the share is unknown, and the bar moves without an end. */
export function progress(bar, done) {
  const unknown = !(done >= 0);
  bar.classList.toggle("endless", unknown);
  bar.firstElementChild.style.width = unknown ? "" : `${Math.round(100 * Math.min(1, done))}%`;
  if (bar.getAttribute("role") === "progressbar" && !unknown) {
    bar.setAttribute("aria-valuenow", Math.round(100 * done));
  }
}
