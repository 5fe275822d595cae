// The session of this tab: it is begun, kept, restored, saved and opened, and changed by operations.

import { ask, download, receiveJob } from "./api.js";
import { connect } from "./connection.js";
import * as keep from "./keep.js";
import { say, complain } from "./say.js";
import { same } from "./strokes.js";

export function createSession(store, paint) {
  let link = null;

  const view = () => {
    const { chosen, slider, average, shadow } = store.state;
    return { type: "view", chosen, slider, average, shadow };
  };

  /** Connects the page to a session; if it `goesOn`, messages that could not be sent yet are sent to it. */
  function attach(id, goesOn = false) {
    const waiting = link?.end() ?? [];
    keep.adopt(id);
    store.set({ id, link: "closed", fresh: false });
    const on = {
      session: received,
      job: receiveJob,
      error: (sentence) => {
        store.set({ pending: [] }); // strokes that were refused are not drawn
        say(sentence, "error");
      },
      frame: paint,
      link: (state, retryAt) => store.set({ link: state, retryAt }),
      unknown: () => restore(id),
    };
    link = connect(id, on, goesOn ? waiting : []);
  }

  /** Takes the state of the session; `again`: it is the first one after the connection was opened. */
  function received(message, again) {
    const { session, drawing } = message;
    const { pending, drawing: before } = store.state;
    const left = pending.filter((own) => !drawing.strokes.some((stroke) => same(stroke, own.stroke)));
    if (again) {
      // They were sent over a connection that was lost; since they are not in the drawing, they did not arrive.
      for (const own of left.filter((own) => own.sent)) sendStroke(own);
      link.send(view());
    }
    const patch = { session, drawing, canUndo: message.can_undo, canRedo: message.can_redo, pending: left };
    // On another ground there are other candidates with other paths.
    if (before && before.ground !== drawing.ground) Object.assign(patch, { chosen: null, slider: null });
    store.set(patch);
    store.state.pending.forEach((own) => (own.sent = true));
    keepAll(store.state.id, session);
  }

  /** Keeps the session and its photos. */
  async function keepAll(id, session) {
    await keep.keepSession(id, session);
    for (const photo of keep.photosOf(session)) {
      if (await keep.photo(photo)) continue;
      try {
        const { photos } = await ask("GET", `api/sessions/${id}?photos=1`);
        for (const [name, kept] of Object.entries(photos)) await keep.keepPhoto(name, kept);
      } catch { /* the next message tries again */ }
      return;
    }
  }

  /** Begins the kept session on a server that does not know it, or a new one if it is not kept. */
  async function restore(id) {
    const kept = await keep.whole(id);
    store.set({ link: "lost", retryAt: 0 });
    try {
      const made = await ask("POST", "api/sessions", { json: kept ?? {} });
      if (kept) await keep.forget(id);
      attach(made.id, true);
    } catch (error) {
      // 409: the server is not ready yet.
      if (kept && error.status >= 400 && error.status < 429 && error.status !== 409) {
        say(`The session could not be restored: ${error.message}`, "error");
        restore("");
      } else {
        if (error.status) complain(error); // it is loading, or there are too many sessions
        setTimeout(() => restore(id), 2000);
      }
    }
  }

  const sendStroke = (own) => {
    own.sent = link.send({ type: "op", op: { op: "stroke", stroke: own.stroke } }) === true;
  };
  const op = (op) => link?.send({ type: "op", op });

  // A tab that is closed closes its session; one that the browser only keeps in its cache may be shown again.
  addEventListener("pagehide", (event) => {
    if (!event.persisted && store.state.id) navigator.sendBeacon(`api/sessions/${store.state.id}/close`);
  });

  return {
    begin() {
      keep.tidy();
      const id = keep.current();
      if (id) attach(id);
      else restore("");
    },
    retry: () => link?.retry(),
    live: (stroke) => link?.send({ type: "live", stroke }),
    stroke(stroke) {
      const own = { stroke, sent: false };
      store.set({ pending: [...store.state.pending, own] });
      sendStroke(own);
    },
    erase: (strokes) => op({ op: "erase", strokes }),
    clear: () => op({ op: "clear" }),
    give: (name, value) => op({ op: "give", name, value }),
    steer: (values) => link?.send({ type: "steer", values }),
    closeSecond: () => op({ op: "part" }),
    weights: (weights) => op({ op: "weights", weights }),
    restart: () => op({ op: "restart", seed: Math.floor(Math.random() * 2 ** 31) }),
    closePhoto: () => op({ op: "close" }),
    fix: () => link?.send({ type: "fix", candidate: store.state.chosen }),
    undo: () => link?.send({ type: "undo" }),
    redo: () => link?.send({ type: "redo" }),
    /** Changes the view, in the page and on the server. */
    look(patch) {
      store.set(patch);
      link?.send({ type: "view", ...patch });
    },
    cursor: (cursor) => link?.send({ type: "view", cursor }),
    async save() {
      const { id } = store.state;
      try {
        const text = await ask("GET", `api/sessions/${id}?photos=1`).catch(async (error) => {
          const kept = await keep.whole(id); // without a server, the own copy is saved
          if (!kept) throw error;
          return kept;
        });
        await download(new Blob([JSON.stringify(text)], { type: "application/json" }), "jgan-session.json");
        say("Saved: jgan-session.json holds strokes, starts and photos.");
      } catch (error) {
        complain(error);
      }
    },
    /** Begins another session from a saved file, and closes the present one. */
    async open(file) {
      try {
        const before = store.state.id;
        const made = await ask("POST", "api/sessions", { json: await file.text() });
        store.set({ chosen: null, slider: null, pending: [], drawing: null });
        attach(made.id);
        if (before) {
          ask("DELETE", `api/sessions/${before}`).catch(() => {});
          keep.forget(before);
        }
        say(`Opened ${file.name}.`);
      } catch (error) {
        complain(error);
      }
    },
  };
}
