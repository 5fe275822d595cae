// HTTP: one way to ask, whose errors are sentences for people.

/** What the server answers, parsed; throws an Error with its sentence where it refuses, `status` 0 where it is away. */
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
    const told = await answer.json().catch(() => null);
    throw failure(told?.error ?? `The server answered ${answer.status} ${answer.statusText}.`, answer.status);
  }
  return raw ? answer.blob() : answer.json();
}

function failure(sentence, status) {
  return Object.assign(new Error(sentence), { status });
}

/** Hands a blob, or a path on the server, to the browser as a file of that name. */
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

const jobs = new Map(); // id -> listener

/** Called with every job message of the socket. */
export function heard(job) {
  jobs.get(job.job)?.(job);
}

/**
 * The end of a job, told step by step. Messages come over the socket; where none comes the job is asked for, so that
 * neither a lost connection nor a message that overtook the answer matters.
 */
export function follow(id, tell) {
  return new Promise((resolve, reject) => {
    let last = 0;
    const hear = (job) => {
      last = Date.now();
      tell?.(job);
      if (job.state !== "done" && job.state !== "failed") return;
      jobs.delete(id);
      clearInterval(timer);
      if (job.state === "done") resolve(job);
      else reject(failure(job.message || "The job failed.", 500));
    };
    const timer = setInterval(async () => {
      if (Date.now() - last < 1500) return;
      try {
        hear(await ask("GET", `api/jobs/${id}`));
      } catch (error) {
        if (error.status === 404) hear({ state: "failed", message: "The server was restarted; try again." });
      }
    }, 700);
    jobs.set(id, hear);
  });
}

/** The address of a job's result that ends so, relative to the page. */
export function result(job, id, ending) {
  const path = (job.results ?? []).find((url) => url.endsWith(ending)) ?? `api/jobs/${id}/photo${ending}`;
  return path.replace(/^\//, "");
}
