// The socket of a session: it sends messages, receives sessions, jobs and frames, and opens again after a loss.

import { ask } from "./api.js";

const LATER = [400, 800, 1500, 3000, 5000, 8000]; // milliseconds between attempts
const decoder = new TextDecoder();

/**
 * A connection to a session, which opens again after a loss.
 *
 * @param id the key of the session.
 * @param on functions that are called: session(message, again), job(message), error(sentence), frame(header, bitmap),
 *   which returns a promise that it was painted, link(state, retryAt) with "open", "lost" or "taken" by another window,
 *   and unknown() if the server does not know the session.
 * @param waiting messages that change the session and could not be sent yet.
 */
export function connect(id, on, waiting = []) {
  let socket = null, attempt = 0, timer = 0, ended = false, greeted = false;

  function open() {
    clearTimeout(timer);
    const address = new URL(`api/sessions/${id}/socket`, document.baseURI);
    address.protocol = address.protocol.replace("http", "ws");
    const mine = new WebSocket(address);
    let opened = false;
    socket = mine;
    greeted = false;
    mine.binaryType = "arraybuffer";
    mine.onopen = () => (opened = true);
    mine.onmessage = ({ data }) => (typeof data === "string" ? text(JSON.parse(data)) : frame(mine, data));
    mine.onclose = async ({ code }) => {
      if (ended || mine !== socket) return;
      if (code === 4409) return on.link("taken", 0);
      if (code === 4404 || (!opened && (await gone()))) return on.unknown();
      later();
    };
  }

  /** Whether the server does not know the session. */
  async function gone() {
    try {
      await ask("GET", `api/sessions/${id}`);
      return false;
    } catch (error) {
      return error.status === 404;
    }
  }

  /** Tries again after a while, which is longer after each attempt. */
  function later() {
    if (ended) return;
    const wait = LATER[Math.min(attempt++, LATER.length - 1)] * (0.8 + 0.4 * Math.random());
    on.link("lost", Date.now() + wait);
    clearTimeout(timer);
    timer = setTimeout(open, wait);
  }

  function text(message) {
    if (message.type === "session") {
      attempt = 0;
      const again = !greeted;
      greeted = true;
      if (again) on.link("open", 0);
      on.session(message, again);
      if (again) waiting.splice(0).forEach(post);
    } else if (message.type === "job") on.job(message);
    else if (message.type === "error") on.error(message.error);
  }

  async function frame(mine, data) {
    try {
      const length = new DataView(data).getUint32(0);
      const header = JSON.parse(decoder.decode(new Uint8Array(data, 4, length)));
      const bitmap = await createImageBitmap(new Blob([new Uint8Array(data, 4 + length)]));
      await on.frame(header, bitmap);
    } finally {
      // Also after an error, because the server sends no other frame without this message.
      if (mine.readyState === WebSocket.OPEN) mine.send('{"type":"ready"}');
    }
  }

  const post = (message) => socket.send(JSON.stringify(message));

  open();
  return {
    /** Sends a message and returns true; without a connection it waits for one if the message changes the session. */
    send(message) {
      const now = greeted && socket.readyState === WebSocket.OPEN;
      if (now) post(message);
      else if (message.type !== "live" && message.type !== "view") waiting.push(message);
      return now;
    },
    retry() {
      attempt = 0;
      open();
    },
    /** Ends the connection, and returns the messages that it could not send. */
    end() {
      ended = true;
      clearTimeout(timer);
      socket.onclose = null;
      socket.close();
      return waiting.splice(0);
    },
  };
}
