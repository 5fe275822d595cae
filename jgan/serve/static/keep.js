// The page's own copy of its session, in the browser's database: what is left when the server forgets.
// The session's number lies in the tab's storage, so that a reload finds it and another tab does not.

const TAB = "jgan-session";
let opened = null;

function database() {
  opened ??= new Promise((resolve, reject) => {
    const request = indexedDB.open("jgan", 1);
    request.onupgradeneeded = () => {
      request.result.createObjectStore("sessions");
      request.result.createObjectStore("photos");
    };
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
  return opened;
}

async function run(store, mode, act) {
  const base = await database();
  return new Promise((resolve, reject) => {
    const request = act(base.transaction(store, mode).objectStore(store));
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}

const memory = { sessions: new Map(), photos: new Map() }; // where the database is forbidden, and faster

async function put(store, key, value) {
  memory[store].set(key, value);
  await run(store, "readwrite", (s) => s.put(value, key)).catch(() => {});
}

async function get(store, key) {
  return memory[store].get(key) ?? (await run(store, "readonly", (s) => s.get(key)).catch(() => undefined));
}

async function drop(store, key) {
  memory[store].delete(key);
  await run(store, "readwrite", (s) => s.delete(key)).catch(() => {});
}

/** The session this tab worked on, or "". */
export function current() {
  try {
    return sessionStorage.getItem(TAB) ?? "";
  } catch {
    return "";
  }
}

/** Remembers which session is this tab's. */
export function adopt(id) {
  try {
    sessionStorage.setItem(TAB, id);
  } catch { /* a reload then begins anew */ }
}

/** Keeps a session's JSON; what older tabs left goes after a week. */
export async function keepSession(id, session) {
  await put("sessions", id, { session, time: Date.now() });
}

/** Keeps a photo, {name, data}, by its id. */
export const keepPhoto = (id, photo) => put("photos", id, { photo, time: Date.now() });

export const photo = async (id) => (await get("photos", id))?.photo;

/** The kept session with its photos, as the server takes it; null where there is none. */
export async function whole(id) {
  const kept = await get("sessions", id);
  if (!kept) return null;
  const photos = {};
  for (const photoId of photosOf(kept.session)) photos[photoId] = await photo(photoId);
  return Object.values(photos).every(Boolean) ? { ...kept.session, photos } : null;
}

export const forget = (id) => drop("sessions", id);

/** The ids of the photos that a session's operations name. */
export function photosOf(session) {
  return [...new Set((session.ops ?? []).filter((op) => op.op === "open").map((op) => op.photo))];
}

/** Removes what has not been touched for a week. */
export async function tidy() {
  const old = Date.now() - 7 * 24 * 3600e3;
  for (const store of ["sessions", "photos"]) {
    const keys = await run(store, "readonly", (s) => s.getAllKeys()).catch(() => []);
    for (const key of keys) {
      const entry = await run(store, "readonly", (s) => s.get(key)).catch(() => null);
      if (entry && entry.time < old) await drop(store, key);
    }
  }
}
