// A group of buttons of which one is on: Tab reaches this one, and the arrow keys move to the others.

/** Connects the buttons of a group by their data-NAME: `choose(value)` is called, and `show(value)` turns one on. */
export function radios(group, name, choose) {
  const buttons = () => [...group.querySelectorAll(`[data-${name}]:not([hidden])`)];
  group.addEventListener("click", (event) => {
    const button = event.target.closest(`[data-${name}]`);
    if (button) choose(button.dataset[name]);
  });
  group.addEventListener("keydown", (event) => {
    const by = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    if (!by) return;
    event.preventDefault();
    const all = buttons(), next = all[(all.indexOf(document.activeElement) + by + all.length) % all.length];
    next.focus();
    choose(next.dataset[name]);
  });
  return {
    show(value) {
      for (const button of buttons()) {
        const on = button.dataset[name] === value;
        button.setAttribute("aria-checked", on);
        button.tabIndex = on ? 0 : -1;
      }
    },
  };
}
