// Draws /openapi.json: operations by tag, parameters, bodies, answers, and a form to try each. Text from the
// description enters the page as text nodes only; the token stays in this tab's memory.
"use strict";

const METHODS = ["get", "head", "post", "put", "patch", "delete"];
let api;

/** An element with properties and children; strings become text nodes. */
function el(name, props = {}, ...children) {
  const node = Object.assign(document.createElement(name), props);
  node.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return node;
}

/** Text with `code` spans. */
function prose(text = "") {
  return text.split(/(`[^`]+`)/).map((part) =>
    part.length > 1 && part.startsWith("`") && part.endsWith("`") ? el("code", {}, part.slice(1, -1)) : part);
}

/** What a `$ref` points to. */
function resolve(thing) {
  if (!thing || !thing.$ref) return thing || {};
  return thing.$ref.slice(2).split("/")
    .reduce((at, step) => (at || {})[step.replaceAll("~1", "/").replaceAll("~0", "~")], api) || {};
}

/** The branch of a schema that says most: not null, the first of several. */
function main(schema) {
  const resolved = resolve(schema);
  const branches = resolved.oneOf || resolved.anyOf;
  if (!branches) return resolved;
  return main(branches.find((branch) => resolve(branch).type !== "null") || {});
}

function typeOf(schema) {
  const resolved = main(schema);
  const types = [resolved.type].flat().filter((type) => type && type !== "null");
  if (types[0] === "array") return `${typeOf(resolved.items)}[]`;
  const name = types.join(" | ") || (resolved.properties ? "object" : "any");
  return resolved.format ? `${name} (${resolved.format})` : name;
}

/** An example value of a schema. */
function example(schema, depth = 0) {
  const resolved = main(schema);
  if (resolved.example !== undefined) return resolved.example;
  if (resolved.examples && resolved.examples.length) return resolved.examples[0];
  if (resolved.default !== undefined) return resolved.default;
  if (resolved.enum) return resolved.enum[0];
  if (depth > 6) return null;
  if (resolved.allOf) return Object.assign({}, ...resolved.allOf.map((part) => example(part, depth + 1)));
  const type = [resolved.type].flat().find((name) => name !== "null");
  if (type === "object" || resolved.properties) {
    return Object.fromEntries(Object.entries(resolved.properties || {})
      .map(([name, property]) => [name, example(property, depth + 1)]));
  }
  if (type === "array") return [example(resolved.items, depth + 1)];
  if (type === "integer" || type === "number") return resolved.minimum || 0;
  if (type === "boolean") return false;
  if (resolved.format === "uuid") return "0198f3c2-7c1e-7a52-9d57-1f6c2a3b4d5e";
  if (resolved.format === "date-time") return "2026-01-31T12:00:00Z";
  return type === "string" ? "text" : null;
}

/** The fields of an object schema as a table. */
function fields(schema, depth = 0) {
  const resolved = main(schema);
  const object = resolved.type === "array" ? main(resolved.items) : resolved;
  if (!object.properties || depth > 4) return null;
  const required = new Set(object.required || []);
  return el("table", {}, el("tbody", {}, Object.entries(object.properties).map(([name, property]) => {
    const inner = main(property);
    const nested = fields(inner, depth + 1);
    return el("tr", {},
      el("td", {}, el("code", { className: required.has(name) ? "required" : "" }, name)),
      el("td", { className: "quiet" }, typeOf(property)),
      el("td", {}, prose(property.description || inner.description), nested));
  })));
}

function contentOf(thing) {
  const entries = Object.entries(resolve(thing).content || {});
  return entries.length ? { type: entries[0][0], schema: entries[0][1].schema } : null;
}

function parametersTable(parameters) {
  if (!parameters.length) return null;
  return el("section", {}, el("h4", {}, "Parameters"), el("table", {}, el("tbody", {}, parameters.map((parameter) =>
    el("tr", {},
      el("td", {}, el("code", { className: parameter.required ? "required" : "" }, parameter.name)),
      el("td", { className: "quiet" }, `${parameter.in}, ${typeOf(parameter.schema)}`),
      el("td", {}, prose(parameter.description)))))));
}

function responsesTable(responses) {
  return el("section", {}, el("h4", {}, "Answers"), Object.entries(responses).map(([status, response]) => {
    const resolved = resolve(response);
    const content = contentOf(resolved);
    const headers = Object.keys(resolved.headers || {});
    const title = el("summary", {}, el("code", {}, status), " ", prose(resolved.description));
    if (!content) return el("details", {}, title);
    const sample = content.type.endsWith("json")
      ? el("pre", {}, JSON.stringify(example(content.schema), null, 2)) : null;
    return el("details", {}, title,
      headers.length ? el("p", { className: "quiet" }, `Headers: ${headers.join(", ")}`) : null,
      fields(content.schema), sample);
  }));
}

/** Shows an answer as it arrives; an event stream goes on until it is stopped. */
async function show(answer, response, stop) {
  const lines = [`${response.status} ${response.statusText}`];
  response.headers.forEach((value, name) => lines.push(`${name}: ${value}`));
  const body = el("pre");
  answer.replaceChildren(el("pre", {}, lines.join("\n")), body);
  const type = response.headers.get("content-type") || "";
  if (!type.startsWith("text/event-stream")) {
    const text = await response.text();
    try { body.textContent = JSON.stringify(JSON.parse(text), null, 2); } catch { body.textContent = text; }
    return;
  }
  answer.prepend(el("button", { type: "button", onclick: () => stop.abort() }, "Stop"));
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    body.textContent = (body.textContent + value).slice(-100000);
  }
}

function tryIt(method, path, parameters, body) {
  const inputs = parameters.map((parameter) => {
    const input = el("input", { placeholder: typeOf(parameter.schema), required: Boolean(parameter.required) });
    return { parameter, input };
  });
  const binary = body && !body.type.endsWith("json");
  const text = !body ? null : binary ? el("input", { type: "file" })
    : el("textarea", { spellcheck: false, value: JSON.stringify(example(body.schema), null, 2) });
  const answer = el("div", { className: "answer", hidden: true });
  const form = el("form", {},
    inputs.length ? el("table", {}, el("tbody", {}, inputs.map(({ parameter, input }) => el("tr", {},
      el("td", {}, el("code", { className: parameter.required ? "required" : "" }, parameter.name)),
      el("td", {}, input))))) : null,
    text, el("p", {}, el("button", {}, "Send")), answer);
  form.onsubmit = async (event) => {
    event.preventDefault();
    let url = path;
    const query = new URLSearchParams();
    const headers = {};
    for (const { parameter, input } of inputs) {
      if (!input.value) continue;
      if (parameter.in === "path") url = url.replace(`{${parameter.name}}`, encodeURIComponent(input.value));
      else if (parameter.in === "query") query.append(parameter.name, input.value);
      else headers[parameter.name] = input.value;
    }
    const token = document.getElementById("token").value.trim();
    if (token) headers.Authorization = `Bearer ${token}`;
    const content = !text ? undefined : binary ? text.files[0] : text.value.trim() || undefined;
    if (content) headers["Content-Type"] = body.type;
    const stop = new AbortController();
    answer.hidden = false;
    answer.replaceChildren("Waiting for the answer…");
    try {
      const target = query.size ? `${url}?${query}` : url;
      const response = await fetch(target, { method: method.toUpperCase(), headers, body: content, signal: stop.signal });
      await show(answer, response, stop);
    } catch (error) {
      answer.append(el("p", {}, `No (further) answer: ${error.message}`));
    }
  };
  return el("details", {}, el("summary", {}, "Try it"), form);
}

function operation(path, method, item, op) {
  const parameters = [...(item.parameters || []), ...(op.parameters || [])].map(resolve);
  const body = op.requestBody ? contentOf(op.requestBody) : null;
  const open = !op.security || op.security.some((way) => !Object.keys(way).length);
  const inside = el("div", { className: "body" });
  const details = el("details", { id: op.operationId },
    el("summary", {}, el("span", { className: `method ${method}` }, method.toUpperCase()),
      el("span", { className: "path" }, path), el("span", { className: "quiet" }, op.summary || "")), inside);
  // Drawn when first opened: a long list stays quick.
  details.ontoggle = () => {
    if (inside.hasChildNodes()) return;
    inside.append(...[
      el("p", {}, prose(op.description)),
      el("p", { className: "quiet" }, open ? "No token needed" : "Bearer token needed", ` · ${op.operationId}`),
      parametersTable(parameters),
      body ? el("section", {}, el("h4", {}, `Body (${body.type})`), fields(body.schema)) : null,
      responsesTable(op.responses || {}),
      tryIt(method, path, parameters, body),
    ].filter(Boolean));
  };
  return el("article", {}, details);
}

function problemTable(problems) {
  return el("section", { id: "codes" }, el("h2", {}, "Result codes"), el("table", {}, el("tbody", {},
    problems.map((problem) => el("tr", { id: problem.code },
      el("td", {}, el("code", {}, problem.code)),
      el("td", { className: "quiet" }, problem.statuses.join(", ")),
      el("td", {}, problem.title),
      el("td", {}, prose(problem.remedy)))))));
}

/** Opens what the address's fragment names. */
function follow() {
  const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (!target) return;
  if (target.tagName === "DETAILS") target.open = true;
  target.scrollIntoView();
}

function draw() {
  document.getElementById("version").textContent = `${api.info.version} · OpenAPI ${api.openapi}`;
  const contents = document.getElementById("contents");
  const page = document.getElementById("main");
  page.replaceChildren(el("p", {}, prose(api.info.description)));
  for (const tag of api.tags || []) {
    const entries = Object.entries(api.paths).flatMap(([path, item]) => METHODS
      .filter((method) => item[method] && (item[method].tags || []).includes(tag.name))
      .map((method) => ({ path, method, item, op: item[method] })));
    contents.append(el("section", {}, el("h2", {}, tag.name), entries.map(({ path, method, op }) =>
      el("a", { href: `#${op.operationId}`, title: path },
        el("span", { className: `method ${method}` }, method.toUpperCase()), ` ${op.summary || path}`))));
    page.append(el("section", {}, el("h2", {}, tag.name), el("p", { className: "quiet" }, tag.description || ""),
      entries.map(({ path, method, item, op }) => operation(path, method, item, op))));
  }
  contents.append(el("section", {}, el("h2", {}, "Reference"), el("a", { href: "#codes" }, "Result codes")));
  page.append(problemTable(api["x-problems"] || []));
  document.getElementById("filter").oninput = ({ target }) => {
    const wanted = target.value.toLowerCase();
    for (const link of contents.querySelectorAll("a")) {
      link.hidden = !`${link.textContent} ${link.title}`.toLowerCase().includes(wanted);
    }
  };
  addEventListener("hashchange", follow);
  follow();
}

fetch("/openapi.json")
  .then((response) => response.json())
  .then((description) => { api = description; draw(); })
  .catch((error) => document.getElementById("main").replaceChildren(`The description did not load: ${error.message}`));
