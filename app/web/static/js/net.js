// Requests to our own routes. A refusal becomes a Refusal whose message is fit for the person at the screen.

export class Refusal extends Error {
  constructor(sentence, status, other = null, code = null) {
    super(sentence);
    this.status = status;
    this.other = other;
    this.code = code;
  }
}

const csrf = () => document.querySelector('meta[name="csrf"]')?.content ?? "";

// Data: FormData, URLSearchParams or a plain object (sent as form fields; null and undefined are left out).
function body(data) {
  if (data instanceof FormData || data instanceof URLSearchParams) return data;
  const fields = new URLSearchParams();
  for (const [name, value] of Object.entries(data ?? {})) {
    for (const each of Array.isArray(value) ? value : [value]) {
      if (each !== null && each !== undefined) fields.append(name, each);
    }
  }
  return fields;
}

async function request(url, options, accept) {
  const headers = { Accept: accept, ...options.headers };
  if (accept === "text/html") headers["X-Fragment"] = "1";
  let response;
  try {
    response = await fetch(url, { credentials: "same-origin", ...options, headers });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Refusal("Packshot does not answer. Nothing was changed; try again in a moment.", 0);
  }
  if (response.status === 401) {
    location.assign("/sign-in?next=" + encodeURIComponent(location.pathname + location.search));
    throw new Refusal("Your sign-in has ended.", 401);
  }
  if (!response.ok) throw await refusal(response);
  return response;
}

async function refusal(response) {
  const text = await response.text();
  try {
    const { error } = JSON.parse(text);
    return new Refusal(error.sentence, response.status, error.other, error.code);
  } catch {
    const shown = new DOMParser().parseFromString(text, "text/html").body.textContent.trim().replace(/\s+/g, " ");
    return new Refusal(shown || `Packshot answered ${response.status}.`, response.status);
  }
}

// JSON in, JSON out.
export async function getJson(url, options = {}) {
  return (await request(url, options, "application/json")).json();
}

// Numbers, as they were packed: an ArrayBuffer.
export async function getBytes(url) {
  return (await request(url, {}, "application/octet-stream, application/json")).arrayBuffer();
}

// Post form fields; the answer as JSON (null when it is empty).
export async function post(url, data, options = {}) {
  const sent = { ...options, method: "POST", body: body(data), headers: { "X-CSRF-Token": csrf(), ...options.headers } };
  const text = await (await request(url, sent, "application/json")).text();
  return text ? JSON.parse(text) : null;
}

// A fragment as text.
export async function getFragment(url, options = {}) {
  return (await request(url, options, "text/html")).text();
}

// Post form fields; the answer is a fragment as text.
export async function postFragment(url, data, options = {}) {
  const sent = { ...options, method: "POST", body: body(data), headers: { "X-CSRF-Token": csrf(), ...options.headers } };
  return (await request(url, sent, "text/html")).text();
}

// Put a fragment in place of what an element holds, and tell behaviours about it.
export function swap(element, html) {
  element.innerHTML = html;
  element.dispatchEvent(new CustomEvent("swapped", { bubbles: true }));
}
