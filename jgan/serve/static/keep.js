// The page's own copy of its session in the database of the browser, for the case that the server no longer has it. The
// key of the session is in the storage of the tab, so that it stays after a reload, and other tabs do not have it.

const TAB = "jgan-session";
let opened = null;

/** A promise of the database. */
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

/** The result of a request to a store of the database. */
async function run(store, mode, act) {
  const base = await database();
  return new Promise((resolve, reject) => {
    const request = act(base.transaction(store, mode).objectStore(store));
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}

const memory = { sessions: new Map(), photos: new Map() }; // faster, and used alone if the database is forbidden

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

/** The key of the session of this tab, or "". */
export function current() {
  try {
    return sessionStorage.getItem(TAB) ?? "";
  } catch {
    return "";
  }
}

/** Keeps the key of the session of this tab. */
export function adopt(id) {
  try {
    sessionStorage.setItem(TAB, id);
  } catch { /* after a reload there is a new session */ }
}

/** Keeps the JSON of a session; `tidy` removes it after a week. */
export async function keepSession(id, session) {
  await put("sessions", id, { session, time: Date.now() });
}

/** Keeps a photo, {name, data}, by its key. */
export const keepPhoto = (id, photo) => put("photos", id, { photo, time: Date.now() });

/** The photo of a key, if it is kept. */
export const photo = async (id) => (await get("photos", id))?.photo;

/** The kept session with its photos, as the server takes it; null if it or one of its photos is not kept. */
export async function whole(id) {
  const kept = await get("sessions", id);
  if (!kept) return null;
  const photos = {};
  for (const photoId of photosOf(kept.session)) photos[photoId] = await photo(photoId);
  return Object.values(photos).every(Boolean) ? { ...kept.session, photos } : null;
}

/** Removes a session. */
export const forget = (id) => drop("sessions", id);

/** The keys of the photos that the operations of a session open. */
export function photosOf(session) {
  return [...new Set((session.ops ?? []).filter(({ op }) => op === "open" || op === "second").map((op) => op.photo))];
}

/** Removes sessions and photos that were kept more than a week ago. */
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
