"use strict";
const byId = (id) => document.getElementById(id);
const make = (name, text = "", kind = "") => {
  const made = document.createElement(name);
  made.textContent = text;
  if (kind) made.className = kind;
  return made;
};

document.querySelector(".tools").hidden = false;

byId("unfold").addEventListener("click", (event) => {
  const button = event.currentTarget;
  const open = button.getAttribute("aria-pressed") === "false";
  button.setAttribute("aria-pressed", String(open));
  button.textContent = open ? "Fold all frames" : "Show all frames";
  for (const each of document.querySelectorAll("main details")) each.open = open;
});

byId("copy").addEventListener("click", async (event) => {
  const button = event.currentTarget;
  try {
    await navigator.clipboard.writeText(byId("text").textContent);
    button.textContent = "Copied";
  } catch {
    byId("text").hidden = false;
    getSelection().selectAllChildren(byId("text"));
    byId("text").scrollIntoView();
    button.textContent = "Selected below";
  }
  setTimeout(() => { button.textContent = "Copy as text"; }, 2000);
});

const place = document.body.dataset.console;

const post = (path, body) => fetch(path, {
  method: "POST",
  headers: {"content-type": "application/json"},
  body: JSON.stringify(body),
});

const problem = async (answer) => {
  try {
    return (await answer.json()).detail;
  } catch {
    return `the daemon answers ${answer.status}`;
  }
};

// Resolves with whether the PIN was entered.
const askPin = () => new Promise((done) => {
  const dialog = byId("ask"), form = dialog.querySelector("form"), pin = byId("pin");
  const end = (entered) => {
    form.onsubmit = dialog.onclose = null;
    dialog.close();
    done(entered);
  };
  form.onsubmit = async (event) => {
    event.preventDefault();
    const path = `${place.slice(0, place.lastIndexOf("/"))}/pin`;
    const answer = await post(path, {pin: pin.value});
    if (answer.ok) return end(true);
    byId("wrong").textContent = await problem(answer);
    pin.select();
  };
  dialog.onclose = () => end(false);
  byId("not-now").onclick = () => end(false);
  byId("wrong").textContent = pin.value = "";
  dialog.showModal();
  pin.focus();
});

const evaluate = async (frame, source) => {
  const answer = await post(place, {frame, source});
  if (answer.status === 401 && await askPin()) return evaluate(frame, source);
  if (answer.ok) return answer.json();
  return {output: "", value: "", error: await problem(answer)};
};

const addConsole = (details) => {
  const frame = Number(details.dataset.frame), typed = [];
  let at = 0;
  const box = make("div", "", "console"), said = make("div");
  said.setAttribute("role", "log");
  const label = make("label", ">>>"), line = make("textarea");
  line.rows = 1;
  line.spellcheck = false;
  line.autocapitalize = "off";
  line.setAttribute("aria-label", "Python in this frame");
  line.placeholder = "Python in this frame";
  const run = make("button", "Run");
  run.type = "button";
  label.append(line, run);
  box.append(said, label);
  details.append(box);
  const send = async () => {
    const source = line.value;
    if (!source.trim() || run.disabled) return;
    typed.push(source);
    at = typed.length;
    run.disabled = true;
    let outcome;
    try {
      outcome = await evaluate(frame, source);
    } catch {
      outcome = {output: "", value: "", error: "the daemon does not answer"};
    }
    run.disabled = false;
    line.value = "";
    said.append(make("pre", source, "typed"));
    if (outcome.output) said.append(make("pre", outcome.output));
    if (outcome.value) said.append(make("pre", outcome.value, "value"));
    if (outcome.error) said.append(make("pre", outcome.error, "error"));
    line.focus();
    label.scrollIntoView({block: "nearest"});
  };
  run.addEventListener("click", send);
  line.addEventListener("keydown", (event) => {
    const several = line.value.includes("\n");
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
      event.preventDefault();
      send();
    } else if (event.key === "ArrowUp" && !several && at > 0) {
      event.preventDefault();
      line.value = typed[--at];
    } else if (event.key === "ArrowDown" && !several && at < typed.length) {
      event.preventDefault();
      line.value = typed[++at] ?? "";
    }
  });
};

if (place) {
  for (const details of document.querySelectorAll("details[data-frame]")) {
    const add = () => {
      if (details.open && !details.querySelector(".console")) addConsole(details);
    };
    add();
    details.addEventListener("toggle", add);
  }
}
