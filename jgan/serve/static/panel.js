// The controls of a way: one widget for each of them, by the kind of its field in the status of the server.

import { choose } from "./pictures.js";
import { complain } from "./say.js";

const CHIPS = 8; // the largest number of classes that are buttons; more of them are a list
const SEEDS = 2 ** 32;
let count = 0;

/**
 * The widgets of a way.
 *
 * @param way {controls, spaces}, as the status of the server describes it.
 * @param change is called with all values and the name of a control, after a person has changed this control.
 * @param encode (file, name of the control) -> promise of the code of a picture.
 * @param painted whether the editor draws with this way: then its codes are the candidates, and attributes have values.
 * @returns {element, values() -> {name: value} of the controls that are set, show(values) changes the widgets,
 *   allow(name -> boolean) shows those for which it is true}
 */
export function createPanel(way, { change, encode, painted = false }) {
  const element = document.createElement("div"), widgets = new Map();
  element.className = "controls";
  const values = () => {
    const pairs = [...widgets].map(([name, widget]) => [name, widget.value()]);
    return Object.fromEntries(pairs.filter(([, value]) => value !== undefined));
  };
  for (const [name, field] of Object.entries(way.controls)) {
    const make = { label, attributes, amount, ...(painted ? {} : { code }) }[field.kind];
    if (!make) continue; // pictures come from the drawing board
    const predicts = field.kind === "code" && Boolean(way.spaces[field.spaces[0]]?.predicts);
    const options = { painted, predicts, encode: encode && ((file) => encode(file, name)) };
    const widget = make(name, field, () => change(values(), name), options);
    widgets.set(name, widget);
    element.append(widget.element);
  }
  return {
    element,
    values,
    show: (given) => widgets.forEach((widget, name) => widget.show(given[name])),
    allow: (allowed) => widgets.forEach((widget, name) => (widget.element.hidden = !allowed(name))),
  };
}

// ---- one function for each kind: (name, field, changed, options) -> {element, value(), show(value)}

function label(name, { names }, changed) {
  if (names.length > CHIPS) {
    const select = document.createElement("select");
    select.append(...names.map((text) => new Option(words(text), text)));
    select.onchange = changed;
    const element = document.createElement("label");
    element.className = "control";
    element.append(title(words(name)), select);
    return { element, value: () => select.value, show: (value = names[0]) => (select.value = value) };
  }
  const chips = choices(words(name), names.map((text) => [text, words(text)]), changed);
  chips.show(names[0]);
  return { ...chips, show: (value = names[0]) => chips.show(value) };
}

function attributes(name, { names, low, high, exclusive }, changed, { painted }) {
  const element = document.createElement("div"), parts = [];
  element.className = "attributes";
  element.setAttribute("role", "group");
  element.setAttribute("aria-label", words(name));
  if (exclusive.length) {
    const all = [...(painted ? [] : [["", "as it is"]]), ...exclusive.map((text) => [text, words(text)])];
    const chips = choices(words(name), all, changed);
    const first = painted ? exclusive[0] : "";
    chips.show(first);
    element.append(chips.element);
    parts.push({
      value: () => (chips.value() ? Object.fromEntries(exclusive.map((text) => [text, text === chips.value() ? high : low])) : {}),
      show: (given) => chips.show(exclusive.find((text) => given[text] > low) ?? first),
    });
  }
  for (const text of names.filter((text) => !exclusive.includes(text))) {
    const slide = slider(words(text), low, high, painted ? low : (low + high) / 2, changed, painted ? "" : "as it is");
    element.append(slide.element);
    parts.push({
      value: () => (slide.value() === undefined ? {} : { [text]: slide.value() }),
      show: (given) => slide.show(given[text]),
    });
  }
  return {
    element,
    value() {
      const values = Object.assign({}, ...parts.map((part) => part.value()));
      return Object.keys(values).length ? values : undefined;
    },
    show: (given = {}) => parts.forEach((part) => part.show(given)),
  };
}

function amount(name, { low, high, default: usual }, changed) {
  const slide = slider(words(name), low, high, usual, changed);
  return { ...slide, show: (value = usual) => slide.show(value) };
}

// A code is drawn at random or comes from a picture; the slider gives codes between the last two of them.
function code(name, field, changed, { predicts, encode }) {
  const element = document.createElement("div");
  element.className = "control code";
  element.setAttribute("role", "group");
  element.setAttribute("aria-label", `Code ${name}`);
  let before = null, now = Math.floor(Math.random() * SEEDS), share = 1;
  const dice = button("i-dice", "Throw the dice", "Another code at random");
  const slide = document.createElement("input"), note = document.createElement("span");
  Object.assign(slide, { type: "range", min: 0, max: 1, step: 0.02, value: 1, disabled: true });
  slide.setAttribute("aria-label", `From the code before to the newest of ${name}`);
  note.className = "soft small";
  const take = (next) => {
    [before, now, share] = [share === 1 || before === null ? now : share === 0 ? before : now, next, 1];
    [slide.value, slide.disabled] = [1, false];
    changed();
  };
  dice.onclick = () => {
    note.textContent = "";
    take(Math.floor(Math.random() * SEEDS));
  };
  slide.oninput = () => ((share = +slide.value), changed());
  element.append(title(name === "z" ? "Variation" : words(name)), dice, hint("before"), slide, hint("newest"));
  if (predicts && encode) {
    const style = button("i-photo", "Style from a picture", "Finds the code that makes the result look like a picture of yours");
    style.onclick = async () => {
      const file = await choose();
      if (!file) return;
      [style.disabled, note.textContent] = [true, "looking …"];
      try {
        const encoded = await encode(file);
        note.textContent = file.name;
        take(encoded);
      } catch (error) {
        note.textContent = "";
        complain(error);
      } finally {
        style.disabled = false;
      }
    };
    element.append(style, note);
  }
  return {
    element,
    value: () => (before === null || share === 1 ? now : share === 0 ? before : { between: [before, now], share }),
    show() {},
  };
}

// ---- the parts of widgets

/** A group of buttons of which one is on; `pairs` are [value, text]. */
function choices(name, pairs, changed) {
  const element = document.createElement("div"), group = document.createElement("div");
  element.className = "control";
  group.className = "chips";
  group.setAttribute("role", "radiogroup");
  let value = pairs[0][0];
  const buttons = pairs.map(([key, text]) => {
    const made = document.createElement("button");
    made.type = "button";
    made.setAttribute("role", "radio");
    made.textContent = made.title = text;
    made.onclick = () => pick(key);
    return made;
  });
  const show = (key) => {
    value = key;
    buttons.forEach((made, k) => {
      made.setAttribute("aria-checked", pairs[k][0] === key);
      made.tabIndex = pairs[k][0] === key ? 0 : -1;
    });
  };
  const pick = (key) => {
    if (key === value) return;
    show(key);
    changed();
  };
  group.addEventListener("keydown", (event) => {
    const by = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    if (!by) return;
    event.preventDefault();
    event.stopPropagation();
    const next = (buttons.indexOf(document.activeElement) + by + buttons.length) % buttons.length;
    buttons[next].focus();
    pick(pairs[next][0]);
  });
  group.append(...buttons);
  const heading = title(name);
  group.setAttribute("aria-labelledby", (heading.id = `control-${++count}`));
  element.append(heading, group);
  show(value);
  return { element, value: () => value, show };
}

/** A slider; if `unset` is a text, a button with it beside the slider leaves the value open. */
function slider(name, low, high, usual, changed, unset = "") {
  const element = document.createElement("div"), input = document.createElement("input"), output = document.createElement("output");
  element.className = "control";
  Object.assign(input, { type: "range", min: low, max: high, step: "any", value: usual, id: `control-${++count}` });
  const heading = Object.assign(document.createElement("label"), { textContent: name, htmlFor: input.id, title: name });
  heading.className = "control-title";
  const read = () => Math.min(high, Math.max(low, +(+input.value).toFixed(4)));
  let open = Boolean(unset), reset = null;
  const update = () => {
    output.textContent = open ? "" : (+read().toFixed(2)).toString();
    element.toggleAttribute("data-open", open);
    reset?.setAttribute("aria-pressed", open);
    if (open) input.setAttribute("aria-valuetext", unset);
    else input.removeAttribute("aria-valuetext");
  };
  input.oninput = () => ((open = false), update());
  input.onchange = changed;
  element.append(heading, input, output);
  if (unset) {
    reset = Object.assign(document.createElement("button"), { type: "button", textContent: unset, className: "toggle" });
    reset.onclick = () => {
      [open, input.value] = [true, usual];
      update();
      changed();
    };
    element.append(reset);
  }
  update();
  return {
    element,
    value: () => (open ? undefined : read()),
    show(value) {
      if (document.activeElement === input && input.matches(":active")) return; // a person moves it now
      open = value === undefined && Boolean(unset);
      input.value = value ?? usual;
      update();
    },
  };
}

function button(icon, text, about) {
  const made = document.createElement("button");
  Object.assign(made, { type: "button", className: "button", title: about });
  made.innerHTML = `<svg aria-hidden="true"><use href="#${icon}"/></svg>`;
  made.append(text);
  return made;
}

/** The title of a widget. */
function title(text) {
  return Object.assign(document.createElement("span"), { className: "control-title", textContent: text, title: text });
}

/** A small text, which screen readers leave out. */
function hint(text) {
  const made = Object.assign(document.createElement("span"), { className: "soft small", textContent: text });
  made.setAttribute("aria-hidden", "true");
  return made;
}

/** A name as a text for people. */
const words = (name) => {
  const text = name.replaceAll("_", " ");
  return text.charAt(0).toUpperCase() + text.slice(1);
};
