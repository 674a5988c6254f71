// Shows an OpenAPI document, and lets one try what it describes. What the document
// and the server say is put in as text, never as markup.

const METHODS = ["get", "post", "put", "patch", "delete", "head", "options", "trace"];
const MOST_SHOWN = 500_000;
const $ = (selector, within = document) => within.querySelector(selector);
const all = (selector, within = document) => [...within.querySelectorAll(selector)];

let api = {};
let operations = [];
const secrets = new Map();   // what was typed into fields for credentials; memory only
let numbers = 0;

// Elements -----------------------------------------------------------------------

function make(tag, told, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(told ?? {})) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "class") element.className = value;
    else if (["value", "checked", "disabled", "open"].includes(name)) element[name] = value;
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat().filter(child => child !== undefined && child !== ""));
  return element;
}

const text = (tag, name, ...children) => make(tag, { class: name }, ...children);
const fresh = () => `f${++numbers}`;

// CommonMark, as far as descriptions have it.
function prose(markdown) {
  const box = text("div", "prose");
  const pieces = String(markdown ?? "").split(/^```.*$/m);
  pieces.forEach((piece, at) => {
    if (at % 2) {
      box.append(make("pre", { tabindex: 0 }, make("code", {}, piece.replace(/^\n|\n$/g, ""))));
      return;
    }
    for (const block of piece.split(/\n\s*\n/)) {
      if (!block.trim()) continue;
      const items = block.trim().split(/\n(?=\s*[-*] )/);
      if (items.every(item => /^\s*[-*] /.test(item)))
        box.append(make("ul", {}, items.map(item => make("li", {}, spans(item.replace(/^\s*[-*] /, ""))))));
      else box.append(make("p", {}, spans(block.trim())));
    }
  });
  return box;
}

function spans(line) {
  const found = /`([^`]+)`|\*\*([^*]+)\*\*|\*([^*\s][^*]*)\*|\[([^\]]+)\]\((https?:[^)\s]+)\)/g;
  const out = [];
  let end = 0;
  for (const hit of line.matchAll(found)) {
    out.push(line.slice(end, hit.index));
    if (hit[1]) out.push(make("code", {}, hit[1]));
    else if (hit[2]) out.push(make("strong", {}, hit[2]));
    else if (hit[3]) out.push(make("em", {}, hit[3]));
    else out.push(make("a", { href: hit[5], rel: "noopener noreferrer" }, hit[4]));
    end = hit.index + hit[0].length;
  }
  return [...out, line.slice(end)];
}

// Schemas ------------------------------------------------------------------------

function resolve(thing) {
  for (let step = 0; thing && typeof thing === "object" && thing.$ref && step < 20; step++) {
    let found = api;
    for (const part of String(thing.$ref).replace(/^#\/?/, "").split("/"))
      found = found?.[decodeURIComponent(part).replaceAll("~1", "/").replaceAll("~0", "~")];
    const { $ref, ...own } = thing;
    thing = { ...(found ?? {}), ...own };
  }
  return thing === true || thing === undefined || thing === null ? {} : thing;
}

const either = schema => schema.anyOf ?? schema.oneOf;
const isNull = schema => resolve(schema).type === "null";
const options = schema => (either(schema) ?? []).filter(each => !isNull(each));
const kinds = schema => [schema.type ?? []].flat();
const show = value => typeof value === "string" ? `“${value}”` : JSON.stringify(value);

// The one schema that is left when "or null" is set aside.
function settle(schema) {
  schema = resolve(schema);
  const rest = options(schema);
  if (rest.length !== 1) return schema;
  const { anyOf, oneOf, ...own } = schema;
  return { ...settle(rest[0]), ...own };
}

function refName(schema) {
  const name = schema?.$ref?.split("/").pop();
  return name && (resolve(schema).title ?? decodeURIComponent(name));
}

// What values a schema takes, in words.
function words(schema, many = false) {
  const name = refName(schema);
  const whole = resolve(schema);
  if (either(whole)) {
    const said = [...new Set(options(whole).map(each => words(each, many)))];
    if (either(whole).some(isNull)) said.push("null");
    return said.join(" or ");
  }
  if ("const" in whole) return show(whole.const);
  if (whole.enum) {
    const list = whole.enum.map(show).join(", ");
    return whole.enum.length > 1 ? `one of ${list}` : list;
  }
  if (name && (whole.properties || whole.prefixItems)) return name;
  // What may be text or a number is told as what the text is; true may be 1 in a form.
  const types = kinds(whole).filter((each, at, list) => each !== "null"
    && !(each === "number" && whole.format === "decimal" && list.includes("string"))
    && !(each === "integer" && list.includes("boolean")));
  const said = types.map(type => typeWords(whole, type, many));
  if (kinds(whole).includes("null")) said.push("null");
  return said.join(" or ") || (whole === false ? "nothing" : "anything");
}

function typeWords(schema, type, many) {
  const s = many ? "s" : "";
  switch (type) {
    case "integer": return (many ? "integers" : "integer") + range(schema);
    case "number": return `number${s}` + range(schema);
    case "boolean": return "true or false";
    case "string": return stringWords(schema, many);
    case "array": return arrayWords(schema, many);
    case "object": {
      const inner = schema.additionalProperties;
      const of = inner && typeof inner === "object" ? ` of ${words(inner, true)}` : "";
      return `object${s}${of}${count(schema, "Properties", "field")}`;
    }
    default: return type;
  }
}

const FORMATS = {
  "date-time": ["date and time", "dates and times"], date: ["date", "dates"],
  "date-time-local": ["local date and time", "local dates and times"],
  "time-local": ["local time", "local times"],
  time: ["time", "times"], "iso-duration": ["duration", "durations"], uuid: ["UUID", "UUIDs"],
  password: ["secret text", "secret texts"], binary: ["file", "files"],
  decimal: ["decimal number", "decimal numbers"], email: ["e-mail address", "e-mail addresses"],
  uri: ["URL", "URLs"],
};

function stringWords(schema, many) {
  const known = FORMATS[schema.format];
  if (known) return known[many ? 1 : 0] + count(schema, "Length", "character");
  if (schema.contentEncoding === "base64") return "base64 text";
  const matching = schema.pattern ? ` matching ${schema.pattern}` : "";
  return `text${count(schema, "Length", "character")}${matching}`;
}

function arrayWords(schema, many) {
  const lists = many ? "lists" : "list";
  if (schema.prefixItems)
    return `${lists} of ${schema.prefixItems.map(each => words(each)).join(", ")}`;
  const of = schema.items ? ` of ${words(schema.items, true)}` : "";
  return lists + of + count(schema, "Items", "item");
}

function range(schema) {
  const { minimum, maximum, exclusiveMinimum, exclusiveMaximum, multipleOf } = schema;
  const said = [];
  if (minimum !== undefined && maximum !== undefined) said.push(` from ${minimum} to ${maximum}`);
  else if (minimum !== undefined) said.push(` of at least ${minimum}`);
  else if (maximum !== undefined) said.push(` of at most ${maximum}`);
  if (exclusiveMinimum !== undefined) said.push(` greater than ${exclusiveMinimum}`);
  if (exclusiveMaximum !== undefined) said.push(` less than ${exclusiveMaximum}`);
  return said.join(" and") + (multipleOf === undefined ? "" : `, a multiple of ${multipleOf}`);
}

function count(schema, what, unit) {
  const least = schema[`min${what}`], most = schema[`max${what}`];
  if (least === undefined && most === undefined) return "";
  const units = number => `${number} ${unit}${number === 1 ? "" : "s"}`;
  if (least === most) return `, exactly ${units(most)}`;
  if (least === undefined) return `, at most ${units(most)}`;
  if (most === undefined) return `, at least ${units(least)}`;
  return `, ${least} to ${units(most)}`;
}

// Where all is text, nothing is said by leaving it out.
const textWords = schema => words(schema).replace(/ or null$/, "");

// A readable tree. What is inside is made when it is opened: it may contain itself.
function tree(schema) {
  const whole = settle(schema);
  const several = options(whole);
  if (several.length > 1)
    return text("ul", "fields", several.map(each => branch("", each, true)));
  if (kinds(whole).includes("array") && whole.items) return tree(whole.items);
  if (whole.additionalProperties && !whole.properties && typeof whole.additionalProperties === "object")
    return text("ul", "fields", branch("any name", whole.additionalProperties, false, true));
  const needed = whole.required ?? [];
  return text("ul", "fields", Object.entries(whole.properties ?? {}).map(
    ([name, inner]) => branch(name, inner, needed.includes(name))));
}

function branch(name, schema, needed, aside = false) {
  const whole = resolve(schema);
  const line = text("span", "line",
    name && text("span", aside ? "kind" : "name", name),
    text("span", "kind", words(schema)),
    name && needed ? text("span", "needed", "required") : "",
    hasDefault(whole) ? text("span", "kind", `default ${show(whole.default)}`) : "");
  const item = make("li", {});
  if (hasParts(schema)) {
    const details = make("details", {}, make("summary", {}, line));
    details.addEventListener("toggle", () => {
      if (details.open && details.childElementCount === 1) details.append(tree(schema));
    });
    item.append(details);
  } else item.append(line);
  // The description of a class is told where it is opened.
  const about = schema.$ref ? schema.description : whole.description;
  if (about) item.append(prose(about));
  return item;
}

function hasParts(schema, depth = 0) {
  const whole = settle(schema);
  if (depth > 4) return false;
  if (Object.keys(whole.properties ?? {}).length) return true;
  if (whole.items && hasParts(whole.items, depth + 1)) return true;
  if (typeof whole.additionalProperties === "object" && hasParts(whole.additionalProperties, depth + 1))
    return true;
  return options(whole).length > 1 && options(whole).some(each => hasParts(each, depth + 1));
}

function shapeBox(schema) {
  const box = make("div", {}, make("p", { class: "kind" }, words(schema)));
  const whole = settle(schema);
  const about = settle(whole.items ?? whole).description ?? whole.description;
  if (about && (schema.$ref || whole.items)) box.append(prose(about));
  if (hasParts(schema)) box.append(tree(schema));
  return box;
}

// A value that has a schema, as far as one can be guessed.
function sample(schema, above = []) {
  if (schema?.$ref && above.filter(each => each === schema.$ref).length > 0) return undefined;
  const inside = schema?.$ref ? [...above, schema.$ref] : above;
  const whole = resolve(schema);
  if (whole.examples?.length) return whole.examples[0];
  if ("example" in whole) return whole.example;
  if ("const" in whole) return whole.const;
  if ("default" in whole && whole.default !== null && !isEmpty(whole.default)) return whole.default;
  if (whole.enum) return whole.enum[0];
  if (either(whole)) {
    for (const each of [...options(whole), { type: "null" }]) {
      const value = sample(each, inside);
      if (value !== undefined) {
        const tag = whole.discriminator?.propertyName;
        return tag && typeof value === "object" && !(tag in value)
          ? { [tag]: settle(each).properties?.[tag]?.const, ...value } : value;
      }
    }
  }
  const type = kinds(whole).find(each => each !== "null") ?? (whole.properties ? "object" : kinds(whole)[0]);
  switch (type) {
    case "null": return null;
    case "boolean": return true;
    case "integer": case "number": return sampleNumber(whole, type);
    case "string": return sampleText(whole);
    case "array": return sampleList(whole, inside);
    case "object": return sampleObject(whole, inside);
    default: return above.length ? "anything" : {};
  }
}

// Nothing, and an empty list, go without saying.
const hasDefault = schema => "default" in schema && schema.default !== null
  && !(typeof schema.default === "object" && isEmpty(schema.default));

const isEmpty = value => value === "" || (typeof value === "object" && value !== null
  && Object.keys(value).length === 0);

function sampleNumber(schema, type) {
  const step = schema.multipleOf ?? (type === "integer" ? 1 : 0.5);
  let value = schema.minimum ?? (schema.exclusiveMinimum !== undefined
    ? schema.exclusiveMinimum + step : Math.min(step, schema.maximum ?? step));
  if (schema.exclusiveMaximum !== undefined && value >= schema.exclusiveMaximum)
    value = schema.exclusiveMaximum - step;
  if (schema.multipleOf) value = Math.ceil(value / step) * step;
  return type === "integer" ? Math.ceil(value) : value;
}

function sampleText(schema) {
  const now = "2026-01-31T12:00:00Z";
  const known = {
    "date-time": now, date: now.slice(0, 10), time: "12:00:00Z", "iso-duration": "PT1H30M",
    "date-time-local": now.slice(0, 19), "time-local": "12:00:00",
    uuid: "8b8dd5a0-6ea0-4f2c-9a8f-0d9d3f1f6d6e", decimal: "9.90", password: "secret",
    email: "ada@example.org", uri: "https://example.org/", binary: "",
  }[schema.format];
  if (known !== undefined) return known;
  if (schema.contentEncoding === "base64") return btoa("rope".repeat(Math.ceil((schema.minLength ?? 1) / 6)));
  if (schema.pattern) {
    const tries = [now.slice(0, 19), "12:00:00", "a", "A", "1", "abc", "ABC", "123", "a-b", "ABC-123"];
    for (const each of tries)
      try { if (new RegExp(schema.pattern, "u").test(each)) return each; } catch { break; }
  }
  const least = schema.minLength ?? 0;
  let said = "text";
  while (said.length < least) said += " text";
  return schema.maxLength === undefined ? said : said.slice(0, Math.max(schema.maxLength, 0));
}

function sampleList(schema, above) {
  if (schema.prefixItems) return schema.prefixItems.map(each => sample(each, above) ?? null);
  if (!schema.items) return [];
  const item = sample(schema.items, above);
  return item === undefined ? [] : Array(Math.max(schema.minItems ?? 1, 1)).fill(item);
}

function sampleObject(schema, above) {
  const made = {};
  for (const [name, inner] of Object.entries(schema.properties ?? {})) {
    const value = sample(inner, above);
    const needed = (schema.required ?? []).includes(name);
    if (value !== undefined) made[name] = value;
    else if (needed) return undefined;
  }
  const more = schema.additionalProperties;
  if (more && typeof more === "object" && !schema.properties) {
    const value = sample(more, above);
    if (value !== undefined) made[sampleName(schema.propertyNames)] = value;
  }
  return made;
}

function sampleName(schema) {
  if (!schema) return "name";
  if (schema.enum) return schema.enum[0];
  return String(sample({ type: "string", ...schema }) ?? "name");
}

// Operations ---------------------------------------------------------------------

function gather() {
  const found = [];
  for (const [path, item] of Object.entries(api.paths ?? {}))
    for (const method of METHODS) {
      const told = item[method];
      if (!told) continue;
      const parameters = [...(item.parameters ?? []), ...(told.parameters ?? [])].map(resolve);
      const id = told.operationId ?? `${method}${path}`;
      const tag = told.tags?.[0] ?? "";
      const sought = [method, path, id, tag, told.summary, told.description];
      found.push({ method, path, told, parameters, id, tag,
                   sought: sought.join(" ").toLowerCase() });
    }
  return found;
}

function build() {
  document.title = api.info?.title ?? document.title;
  $("#title").textContent = document.title;
  // OpenAPI wants a version, also of what has none.
  $("#version").textContent = (api.info?.version ?? "0").replace(/^0$/, "");
  if (api.info?.description) $("#about").replaceChildren(prose(api.info.description));
  const known = (api.tags ?? []).map(tag => tag.name);
  const names = [...new Set([...known, ...operations.map(each => each.tag)])];
  const main = $("#operations");
  main.replaceChildren();
  for (const name of names) {
    const own = operations.filter(each => each.tag === name);
    if (!own.length) continue;
    const about = (api.tags ?? []).find(tag => tag.name === name)?.description;
    const heading = fresh();
    main.append(make("section", { "aria-labelledby": heading },
      make("h2", { id: heading }, name || "Operations"),
      about ? prose(about) : "",
      text("div", "operations", own.map(row))));
  }
  main.append(make("p", { class: "note", id: "state", hidden: operations.length > 0 },
    "There is nothing to describe here yet."));
  main.removeAttribute("aria-busy");
}

function row(operation) {
  const { method, path, told, id } = operation;
  const panel = fresh();
  const button = make("button", {
    type: "button", "aria-expanded": "false", "aria-controls": panel,
    onclick: () => toggle(operation),
  },
  text("span", `method ${method}`, method.toUpperCase()),
  text("span", "path", path.split(/(\{[^}]*\})/).map(
    piece => piece.startsWith("{") ? make("i", {}, piece) : piece)),
  text("span", "summary", told.summary ?? "",
    told.deprecated ? text("span", "tag", "deprecated") : ""));
  operation.button = button;
  operation.panel = make("div", { id: panel, class: "panel", hidden: true });
  operation.article = make("article", {
    class: `operation${told.deprecated ? " deprecated" : ""}`, id,
  }, make("h3", {}, button), operation.panel);
  return operation.article;
}

function toggle(operation, open = operation.panel.hidden) {
  if (open && !operation.panel.childElementCount) fill(operation);
  operation.panel.hidden = !open;
  operation.button.setAttribute("aria-expanded", String(open));
  operation.article.classList.toggle("open", open);
  if (open) history.replaceState(null, "", `#${encodeURIComponent(operation.id)}`);
  else if (location.hash === `#${encodeURIComponent(operation.id)}`)
    history.replaceState(null, "", location.pathname + location.search);
}

function fill(operation) {
  const { told, parameters, id } = operation;
  const left = text("div", "told");
  if (told.deprecated)
    left.append(make("p", { class: "meta" }, "Deprecated: it may go, and should not be used in new work."));
  if (told.description) left.append(prose(told.description));
  left.append(make("p", { class: "meta" }, make("code", {}, id), guard(told)));
  if (parameters.length) left.append(make("h4", {}, "Parameters"), parameterTable(parameters));
  const body = resolve(told.requestBody);
  if (told.requestBody) {
    const types = Object.keys(body.content ?? {});
    left.append(make("h4", {}, "Body", body.required ? text("span", "needed", "required") : "",
      types.map(type => text("span", "tag", type))));
    if (body.description) left.append(prose(body.description));
    left.append(shapeBox(Object.values(body.content ?? {})[0]?.schema ?? {}));
  }
  left.append(make("h4", {}, "Answers"), answerList(told.responses ?? {}));
  operation.panel.append(left, attempt(operation));
}

function guard(told) {
  const wanted = (told.security ?? api.security ?? []).filter(each => Object.keys(each).length);
  if (!wanted.length) return "";
  return ` needs ${wanted.map(each => Object.keys(each).join(" and ")).join(", or ")}`;
}

function parameterTable(parameters) {
  const rows = parameters.map(each => {
    const schema = each.schema ?? {};
    const whole = resolve(schema);
    return make("tr", {},
      make("td", { class: "name" }, each.name, " ",
        each.required ? text("span", "needed", "required") : ""),
      make("td", { class: "kind" }, each.in),
      make("td", {}, text("span", "kind", textWords(schema),
        hasDefault(whole) ? `, default ${show(whole.default)}` : ""),
        each.deprecated ? text("span", "tag", "deprecated") : "",
        each.description ? prose(each.description) : ""));
  });
  const heads = ["Name", "In", "What it is"].map(head => make("th", { scope: "col" }, head));
  return make("table", {}, make("thead", {}, make("tr", {}, heads)), make("tbody", {}, rows));
}

function answerList(responses) {
  return text("ul", "fields", Object.entries(responses).map(([status, said]) => {
    said = resolve(said);
    const types = Object.keys(said.content ?? {});
    const schema = Object.values(said.content ?? {})[0]?.schema;
    const good = /^[123]/.test(status);
    const line = text("span", "line",
      text("span", `status ${good ? "good" : status === "default" ? "" : "bad"}`, status),
      make("span", {}, spans((said.description ?? "").split("\n\n")[0])));
    const inside = () => make("div", {},
      types.length ? make("p", { class: "meta" }, types.join(", ")) : "",
      Object.entries(said.headers ?? {}).map(([name, header]) => make("p", { class: "line" },
        text("span", "name", name), text("span", "kind", words(resolve(header).schema ?? {})),
        text("span", "kind", resolve(header).description ?? ""))),
      schema ? shapeBox(schema) : "");
    if (!types.length && !said.headers) return make("li", {}, line);
    const details = make("details", {}, make("summary", {}, line));
    details.addEventListener("toggle", () => {
      if (details.open && details.childElementCount === 1) details.append(inside());
    });
    return make("li", {}, details);
  }));
}

// Trying -------------------------------------------------------------------------

const SENDABLE = ["application/json", "application/x-www-form-urlencoded", "multipart/form-data",
                  "application/xml", "text/plain"];

function attempt(operation) {
  const { told, parameters } = operation;
  const form = make("form", { class: "try", novalidate: true, "aria-label": "Try it" });
  form.append(make("h4", {}, "Try it"));
  const state = { form, fields: [], body: undefined, type: "", accept: undefined };
  for (const scheme of schemesOf(told)) form.append(credential(scheme));
  for (const each of parameters) {
    const field = parameterField(each);
    state.fields.push(field);
    form.append(field.box);
  }
  if (told.requestBody) form.append(bodyFields(resolve(told.requestBody), state));
  const accepts = acceptable(told);
  if (accepts.length > 1) {
    const id = fresh();
    state.accept = make("select", { id }, accepts.map(each => make("option", {}, each)));
    form.append(text("div", "field", make("label", { for: id }, "Answer as"), state.accept));
  }
  const send = make("button", { class: "send" }, "Send");
  const curl = make("button", { type: "button", onclick: () => showCurl(operation, state) },
    "As curl command");
  state.send = send;
  state.curl = make("div", { class: "curl", hidden: true });
  state.answer = make("div", { class: "answer", "aria-live": "polite", hidden: true });
  form.append(text("div", "actions", send, curl), state.answer, state.curl);
  form.addEventListener("submit", event => { event.preventDefault(); perform(operation, state); });
  form.addEventListener("keydown", event => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
      event.preventDefault();
      form.requestSubmit();
    }
  });
  form.addEventListener("input", () => { if (!state.curl.hidden) showCurl(operation, state, true); });
  return form;
}

function acceptable(told) {
  const found = Object.entries(told.responses ?? {}).filter(([status]) => /^2|default/.test(status))
    .flatMap(([, said]) => Object.keys(resolve(said).content ?? {}));
  return [...new Set(found)];
}

function schemesOf(told) {
  const names = (told.security ?? api.security ?? []).flatMap(each => Object.keys(each));
  return [...new Set(names)].map(name => ({ ...resolve(api.components?.securitySchemes?.[name]), known: name }));
}

function credential(scheme) {
  const kind = { http: `${scheme.scheme} authentication`, apiKey: `key in the ${scheme.in}`,
    oauth2: "OAuth 2", openIdConnect: "OpenID Connect" }[scheme.type] ?? "";
  const set = make("fieldset", {}, make("legend", {}, scheme.known, " ", text("span", "kind", kind)));
  const add = (key, label, type) => {
    const id = fresh(), name = `${scheme.known} ${key}`;
    const input = make("input", { id, type, autocomplete: "off", spellcheck: "false",
      "data-secret": name, value: secrets.get(name) ?? "",
      oninput: () => {
        secrets.set(name, input.value);
        for (const other of all("input[data-secret]"))
          if (other !== input && other.dataset.secret === name) other.value = input.value;
      } });
    set.append(text("div", "field", make("label", { for: id }, label), input));
  };
  if (scheme.type === "http" && /^basic$/i.test(scheme.scheme)) {
    add("user", "Name", "text");
    add("password", "Password", "password");
  } else if (scheme.type === "apiKey") add("key", `${scheme.name} (${scheme.in})`, "password");
  else add("token", "Token", "password");
  if (scheme.description) set.append(text("div", "hint", prose(scheme.description)));
  return set;
}

function parameterField(parameter) {
  const schema = settle(parameter.schema ?? {});
  const id = fresh();
  const list = kinds(schema).includes("array");
  const input = inputFor(id, schema, parameter.required, list);
  const example = parameter.example ?? Object.values(parameter.examples ?? {})[0]?.value;
  const start = example ?? (parameter.required ? sample(parameter.schema) : undefined);
  if (start !== undefined && start !== null)
    input.value = list && Array.isArray(start) ? start.join("\n") : String(start);
  return { parameter, list, input, ...fieldBox(id, input, parameter.name,
    `${parameter.in}, ${textWords(parameter.schema ?? {})}`, parameter.required, list) };
}

function inputFor(id, schema, needed, list) {
  const choices = schema.enum ?? (kinds(schema).includes("boolean") ? [true, false] : undefined);
  if (list) return make("textarea", { id, rows: 2, spellcheck: "false" });
  if (choices)
    return make("select", { id }, needed ? "" : make("option", { value: "" }, "—"),
      choices.map(each => make("option", { value: String(each) }, String(each))));
  if (schema.format === "binary") return make("input", { id, type: "file" });
  const numeric = kinds(schema).some(each => each === "integer" || each === "number");
  return make("input", { id, type: schema.format === "password" ? "password" : "text",
    autocomplete: "off", spellcheck: "false", inputmode: numeric ? "decimal" : undefined });
}

function fieldBox(id, input, name, about, needed, list) {
  const fault = make("p", { class: "fault", id: `${id}-fault`, hidden: true });
  input.setAttribute("aria-describedby", fault.id);
  if (needed) input.setAttribute("aria-required", "true");
  const box = text("div", "field",
    make("label", { for: id }, text("span", "name", name), " ", text("span", "kind", about),
      needed ? " " : "", needed ? text("span", "needed", "required") : ""),
    input, list ? text("p", "hint", "One in a line.") : "", fault);
  return { box, fault };
}

function bodyFields(body, state) {
  const box = make("div", {});
  const types = Object.keys(body.content ?? {}).filter(type => SENDABLE.includes(type) || /\+json$/.test(type));
  const place = make("div", {});
  const choose = type => {
    state.type = type;
    state.body = bodyEditor(type, body.content[type]);
    place.replaceChildren(state.body.box);
  };
  if (types.length > 1) {
    const id = fresh();
    const select = make("select", { id, onchange: () => choose(select.value) },
      types.map(each => make("option", {}, each)));
    box.append(text("div", "field", make("label", { for: id }, "Send as"), select));
  }
  box.append(place);
  if (types.length) choose(types[0]);
  else box.append(text("p", "hint", "A browser cannot write such a body."));
  return box;
}

function bodyEditor(type, media) {
  const schema = settle(media.schema ?? {});
  const example = media.example ?? Object.values(media.examples ?? {})[0]?.value ?? sample(media.schema ?? {});
  if (type === "application/x-www-form-urlencoded" || type === "multipart/form-data")
    return formEditor(type, schema, example);
  const id = fresh();
  const written = type === "application/xml" ? xml(media.schema, example)
    : type === "text/plain" ? String(example) : JSON.stringify(example, null, 2);
  const area = make("textarea", { id, spellcheck: "false", autocapitalize: "off",
    rows: Math.min(Math.max(written.split("\n").length, 4), 24), value: written });
  const { box, fault } = fieldBox(id, area, "Body", type, false, false);
  return { box, inputs: [["", area, fault]], read: () => area.value };
}

function formEditor(type, schema, example) {
  const inputs = [];
  const needed = schema.required ?? [];
  const box = make("div", {}, Object.entries(schema.properties ?? {}).map(([name, inner]) => {
    const id = fresh();
    const whole = settle(inner);
    const list = kinds(whole).includes("array");
    const files = list && settle(whole.items ?? {}).format === "binary";
    const input = files ? make("input", { id, type: "file", multiple: true })
      : inputFor(id, whole, needed.includes(name), list);
    const value = example?.[name];
    if (input.type !== "file" && value !== undefined && value !== null)
      input.value = Array.isArray(value) ? value.join("\n")
        : typeof value === "object" ? JSON.stringify(value) : String(value);
    const made = fieldBox(id, input, name, words(inner), needed.includes(name), list && !files);
    inputs.push([name, input, made.fault]);
    return made.box;
  }));
  const read = () => {
    const pairs = [];
    for (const [name, input] of inputs) {
      if (input.type === "file") for (const file of input.files) pairs.push([name, file]);
      else if (input.tagName === "TEXTAREA")
        for (const line of input.value.split("\n")) { if (line) pairs.push([name, line]); }
      else if (input.value !== "" || needed.includes(name)) pairs.push([name, input.value]);
    }
    return pairs;
  };
  return { box, inputs, read };
}

// An object as XML: an element for each field, one for each item of a list.
function xml(schema, value) {
  const escape = said => String(said).replace(/[&<>]/g, each => `&#${each.charCodeAt(0)};`);
  const write = (name, part, depth) => {
    const space = "  ".repeat(depth);
    if (Array.isArray(part)) return part.map(each => write(name, each, depth)).join("");
    if (part === null) return `${space}<${name}/>\n`;
    if (typeof part === "object") {
      const inner = Object.entries(part).map(([key, each]) => write(key, each, depth + 1)).join("");
      return `${space}<${name}>\n${inner}${space}</${name}>\n`;
    }
    return `${space}<${name}>${escape(part)}</${name}>\n`;
  };
  const name = resolve(schema).xml?.name ?? refName(schema) ?? "value";
  if (Array.isArray(value)) return write(name, { item: value }, 0).trimEnd();
  return write(name, value, 0).trimEnd();
}

// What is to be sent: address, headers, body.
function compose(operation, state) {
  let path = operation.path;
  const query = [], headers = [], cookies = [];
  for (const { parameter, list, input } of state.fields) {
    const given = input.value;
    const values = list ? given.split("\n").filter(Boolean) : given === "" && !parameter.required ? [] : [given];
    if (parameter.in === "path") {
      const slashes = parameter["x-slashes"];
      const quoted = slashes ? given.split("/").map(encodeURIComponent).join("/") : encodeURIComponent(given);
      path = path.replaceAll(`{${parameter.name}}`, () => quoted);
    } else if (parameter.in === "query") for (const each of values) query.push([parameter.name, each]);
    else if (parameter.in === "header") { if (values.length) headers.push([parameter.name, values.join(", ")]); }
    else if (parameter.in === "cookie") for (const each of values) cookies.push([parameter.name, each]);
  }
  for (const scheme of schemesOf(operation.told)) present(scheme, query, headers, cookies);
  if (state.accept) headers.push(["Accept", state.accept.value]);
  const body = state.body?.read();
  const given = state.body && body !== "" && body?.length !== 0;
  if (given && state.type !== "multipart/form-data") headers.push(["Content-Type", state.type]);
  const asked = new URLSearchParams(query).toString();
  const base = (api.servers?.[0]?.url ?? "/").replace(/\/$/, "");
  const url = new URL(base + path + (asked ? `?${asked}` : ""), document.baseURI);
  return { url, headers, cookies, body: given ? body : undefined };
}

function present(scheme, query, headers, cookies) {
  const secret = key => secrets.get(`${scheme.known} ${key}`) ?? "";
  if (scheme.type === "apiKey") {
    const value = secret("key");
    if (value) ({ query, header: headers, cookie: cookies })[scheme.in]?.push([scheme.name, value]);
  } else if (scheme.type === "http" && /^basic$/i.test(scheme.scheme)) {
    if (secret("user") || secret("password")) {
      const bytes = new TextEncoder().encode(`${secret("user")}:${secret("password")}`);
      headers.push(["Authorization", `Basic ${btoa(String.fromCharCode(...bytes))}`]);
    }
  } else if (secret("token"))
    headers.push(["Authorization", `${scheme.scheme && !/^bearer$/i.test(scheme.scheme) ? scheme.scheme : "Bearer"} ${secret("token")}`]);
}

function payload(state, body) {
  if (body === undefined) return undefined;
  if (state.type === "application/x-www-form-urlencoded") return new URLSearchParams(body).toString();
  if (state.type !== "multipart/form-data") return body;
  const form = new FormData();
  for (const [name, value] of body) form.append(name, value);
  return form;
}

async function perform(operation, state) {
  clear(state);
  const wrong = notThere(state);
  if (wrong) { wrong.focus(); return; }
  const { url, headers, cookies, body } = compose(operation, state);
  if (url.origin !== location.origin) {
    answer(state, make("p", { class: "fault" },
      `${url.origin} is another server: a browser does not let this page ask it. The curl command does.`));
    return;
  }
  state.send.disabled = true;
  const forget = lend(cookies);
  const began = performance.now();
  try {
    const response = await fetch(url, {
      method: operation.method.toUpperCase(), headers, body: payload(state, body),
      redirect: "manual", cache: "no-store",
    });
    const bytes = new Uint8Array(await response.arrayBuffer());
    showAnswer(state, response, bytes, performance.now() - began);
  } catch (error) {
    answer(state, make("p", { class: "fault" }, `It could not be sent: ${error.message}`));
  } finally {
    forget();
    state.send.disabled = false;
  }
}

// A browser sends the cookies that it has: these it has for as long as it asks.
function lend(cookies) {
  const had = new Set(document.cookie.split("; ").map(each => each.split("=")[0]));
  for (const [name, value] of cookies)
    document.cookie = `${name}=${value}; path=/; SameSite=Strict`;
  return () => {
    for (const [name] of cookies)
      if (!had.has(name)) document.cookie = `${name}=; path=/; max-age=0; SameSite=Strict`;
  };
}

function notThere(state) {
  let first;
  for (const { parameter, input, fault } of state.fields)
    if (parameter.in === "path" && input.value === "") {
      mark(input, fault, "A path has no empty pieces.");
      first ??= input;
    }
  return first;
}

function mark(input, fault, said) {
  input.setAttribute("aria-invalid", "true");
  fault.hidden = false;
  fault.append(fault.textContent ? `; ${said}` : said);
}

function clear(state) {
  for (const fault of all(".fault[id]", state.form)) { fault.hidden = true; fault.textContent = ""; }
  for (const input of all("[aria-invalid]", state.form)) input.removeAttribute("aria-invalid");
}

function answer(state, ...children) {
  state.answer.hidden = false;
  state.answer.replaceChildren(...children);
}

function showAnswer(state, response, bytes, took) {
  const redirected = response.type === "opaqueredirect";
  const status = redirected ? "3xx" : `${response.status} ${response.statusText}`;
  const type = response.headers.get("content-type") ?? "";
  const list = [...response.headers].map(([name, value]) => `${name}: ${value}`).join("\n");
  const summary = text("p", "line",
    text("span", `status ${response.ok || redirected ? "good" : "bad"}`, status),
    text("span", "kind", `${Math.round(took)} ms`),
    text("span", "kind", size(bytes.length)));
  answer(state, summary,
    redirected ? text("p", "hint", "It leads somewhere else; a browser does not say where.") : "",
    list ? make("details", {}, make("summary", {}, "Headers"), make("pre", { tabindex: 0 }, list)) : "",
    bytes.length ? bodyShown(type, bytes) : "");
  state.answer.scrollIntoView({ block: "nearest" });
  if (/[/+]json/.test(type) && response.status >= 400) point(state, bytes);
}

function size(length) {
  return length < 1000 ? `${length} bytes` : length < 1e6 ? `${(length / 1e3).toFixed(1)} kB`
    : `${(length / 1e6).toFixed(1)} MB`;
}

function bodyShown(type, bytes) {
  if (!/^text\/|json|xml|urlencoded|javascript|event-stream/.test(type)) {
    const link = make("a", { download: "answer",
      href: URL.createObjectURL(new Blob([bytes], { type: "application/octet-stream" })) }, "Save it");
    return make("p", { class: "hint" }, `${size(bytes.length)} of ${type || "unnamed type"}. `, link);
  }
  let said = new TextDecoder().decode(bytes.subarray(0, MOST_SHOWN));
  if (/[/+]json/.test(type) && bytes.length <= MOST_SHOWN)
    try { said = JSON.stringify(JSON.parse(said), null, 2); } catch { /* as it is */ }
  if (bytes.length > MOST_SHOWN) said += "\n…";
  return make("pre", { tabindex: 0, class: "body" }, said);
}

// Problem details name the fields that are wrong: show it there.
function point(state, bytes) {
  let problem;
  try { problem = JSON.parse(new TextDecoder().decode(bytes)); } catch { return; }
  if (!Array.isArray(problem?.errors)) return;
  for (const each of problem.errors) {
    const path = String(each.path ?? ""), said = String(each.problem ?? "");
    const field = state.fields.find(({ parameter }) => (!each.in || each.in === parameter.in)
      && same(parameter, path));
    const root = path.split(/[.[]/)[0];
    const input = state.body?.inputs.find(([name]) => name === root) ?? state.body?.inputs.find(([name]) => name === "");
    if (field) mark(field.input, field.fault, said);
    else if (input && (!each.in || each.in === "body" || each.in === "form"))
      mark(input[1], input[2], input[0] || !path ? said : `${path}: ${said}`);
  }
  $("[aria-invalid]", state.form)?.focus();
}

function same(parameter, path) {
  const name = path.replace(/^"|"$/g, "").split("[")[0];
  const fold = word => parameter.in === "header" ? word.toLowerCase().replaceAll("_", "-") : word;
  return fold(name) === fold(parameter.name) || path === parameter.name;
}

function showCurl(operation, state, again = false) {
  const { url, headers, cookies, body } = compose(operation, state);
  const quote = word => /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
  const words = [];
  if (operation.method !== "get") words.push(`-X ${operation.method.toUpperCase()}`);
  for (const [name, value] of headers) words.push(`-H ${quote(`${name}: ${value}`)}`);
  if (cookies.length) words.push(`-b ${quote(cookies.map(each => each.join("=")).join("; "))}`);
  if (state.type === "multipart/form-data" && body)
    for (const [name, value] of body)
      words.push(`-F ${quote(value instanceof File ? `${name}=@${value.name}` : `${name}=${value}`)}`);
  else if (body !== undefined) words.push(`--data-binary ${quote(payload(state, body))}`);
  const command = ["curl", ...words, quote(url.href)].join(" \\\n  ");
  const shown = make("pre", { tabindex: 0 }, command);
  const copy = make("button", { type: "button", class: "copy", onclick: async () => {
    try {
      await navigator.clipboard.writeText(command);
      copy.textContent = "Copied";
    } catch {
      getSelection().selectAllChildren(shown);
      copy.textContent = "Selected: copy it with Ctrl C";
    }
  } }, "Copy");
  state.curl.hidden = false;
  state.curl.replaceChildren(shown, copy);
  if (!again) copy.focus();
}

// Searching and the keyboard -----------------------------------------------------

function search() {
  const sought = $("#search").value.toLowerCase().split(/\s+/).filter(Boolean);
  let shown = 0;
  for (const operation of operations) {
    const fits = sought.every(word => operation.sought.includes(word));
    operation.article.hidden = !fits;
    shown += fits;
  }
  for (const section of all("main > section"))
    section.hidden = !$(".operation:not([hidden])", section);
  const many = operations.length;
  $("#count").textContent = sought.length ? `${shown} of ${many}` : `${many} operation${many === 1 ? "" : "s"}`;
  const state = $("#state");
  state.textContent = shown ? "" : "Nothing here is called that.";
  state.hidden = shown > 0;
}

function move(step) {
  const shown = operations.filter(each => !each.article.hidden);
  const at = shown.findIndex(each => each.article.contains(document.activeElement));
  if (at < 0 && step < 0) return;
  if (at === 0 && step < 0) { $("#search").focus(); return; }
  const next = shown[Math.min(at + step, shown.length - 1)];
  next?.button.focus();
  next?.article.scrollIntoView({ block: "nearest" });
}

function pressed(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
  if ($("#help").open) return;
  const target = event.target;
  const typing = /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName);
  const seeking = target === $("#search");
  const key = event.key;
  if (key === "Escape") { escape(target, seeking); return; }
  if (seeking && key === "ArrowDown") { event.preventDefault(); move(1); return; }
  if (seeking && key === "Enter") {
    event.preventDefault();
    const first = operations.find(each => !each.article.hidden);
    if (first) { toggle(first, true); first.button.focus(); }
    return;
  }
  if (typing) return;
  const inList = target === document.body || target === $("#operations")
    || operations.some(each => each.button === target);
  const acts = {
    "/": () => { $("#search").focus(); $("#search").select(); },
    "?": () => $("#help").showModal(),
    j: () => move(1), k: () => move(-1),
    ...(inList ? { ArrowDown: () => move(1), ArrowUp: () => move(-1) } : {}),
  };
  if (acts[key]) { event.preventDefault(); acts[key](); }
}

function escape(target, seeking) {
  if (seeking) { $("#search").value = ""; search(); return; }
  const own = operations.find(each => each.article.contains(target));
  if (own && !own.panel.hidden) { toggle(own, false); own.button.focus(); }
}

function follow() {
  let name = location.hash.slice(1);
  try { name = decodeURIComponent(name); } catch { /* as it is */ }
  const operation = operations.find(each => each.id === name);
  if (!operation) return;
  operation.article.hidden = false;
  toggle(operation, true);
  operation.button.focus({ preventScroll: true });
  operation.article.scrollIntoView({ block: "start" });
}

async function start() {
  try {
    const response = await fetch(document.body.dataset.document, { headers: { Accept: "application/json" } });
    if (!response.ok) throw new Error(`${response.status} ${response.statusText}`);
    api = await response.json();
  } catch (error) {
    $("#state").textContent = `The document could not be loaded: ${error.message}`;
    return;
  }
  operations = gather();
  build();
  search();
  $("#search").addEventListener("input", search);
  $("#tools").addEventListener("submit", event => event.preventDefault());
  $("#keys").addEventListener("click", () => $("#help").showModal());
  document.addEventListener("keydown", pressed);
  addEventListener("hashchange", follow);
  follow();
}

start();
