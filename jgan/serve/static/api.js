// HTTP requests: one function for all of them, whose errors are sentences for people.

/** The parsed answer of the server; throws an Error with its sentence if it refuses, with `status` 0 if it is away. */
export async function ask(method, path, { json, file, fields = {}, files, raw = false } = {}) {
  const options = { method, headers: {} };
  if (json !== undefined) {
    options.body = typeof json === "string" ? json : JSON.stringify(json);
    options.headers["Content-Type"] = "application/json";
  } else if (file || files) {
    options.body = new FormData();
    for (const [name, content] of Object.entries(files ?? { file })) {
      options.body.append(name, content, content.name ?? "picture.png");
    }
    for (const [name, value] of Object.entries(fields)) options.body.append(name, value);
  }
  let answer;
  try {
    answer = await fetch(path.replace(/^\//, ""), options);
  } catch {
    throw failure("The server cannot be reached.", 0);
  }
  if (!answer.ok) {
    const mistake = await answer.json().catch(() => null);
    throw failure(mistake?.error ?? `The server answered ${answer.status} ${answer.statusText}.`, answer.status);
  }
  return raw ? answer.blob() : answer.json();
}

/** An Error with a sentence and the status of HTTP. */
function failure(sentence, status) {
  return Object.assign(new Error(sentence), { status });
}

/** Makes the browser save a blob, or the content of a path on the server, as a file of that name. */
export async function download(source, name) {
  const blob = typeof source === "string" ? await ask("GET", source, { raw: true }) : source;
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

const jobs = new Map(); // id -> function that takes the messages of this job

/** Takes a message about a job from the socket. */
export function receiveJob(job) {
  jobs.get(job.job)?.(job);
}

/**
 * A promise of the end of a job; `onProgress` is called with each message about it. Messages come over the socket. If
 * none comes for a while, the server is asked for the job, so that a lost connection does no harm, nor does a message
 * that arrives before the answer with the id.
 */
export function follow(id, onProgress) {
  return new Promise((resolve, reject) => {
    let last = 0;
    const take = (job) => {
      last = Date.now();
      onProgress?.(job);
      if (job.state !== "done" && job.state !== "failed") return;
      jobs.delete(id);
      clearInterval(timer);
      if (job.state === "done") resolve(job);
      else reject(failure(job.message || "The job failed.", 500));
    };
    const timer = setInterval(async () => {
      if (Date.now() - last < 1500) return;
      try {
        take(await ask("GET", `api/jobs/${id}`));
      } catch (error) {
        if (error.status === 404) take({ state: "failed", message: "The server was restarted; try again." });
      }
    }, 700);
    jobs.set(id, take);
  });
}

/** The address, relative to the page, of the result of a job whose name has that ending. */
export function result(job, id, ending) {
  const path = (job.results ?? []).find((url) => url.endsWith(ending)) ?? `api/jobs/${id}/photo${ending}`;
  return path.replace(/^\//, "");
}
