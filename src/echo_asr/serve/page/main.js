// The page: drop or record, see, play, correct, download.

import { openMicrophone, toWav } from "./microphone.js";
import { addToCorpus, annotations, corpus, live, models, setToken, transcribe } from "./service.js";
import { clock, View } from "./view.js";

const $ = (id) => document.getElementById(id);
const view = new View($("scroll"), $("wide"), $("view"));
const audio = $("audio");
const UNSURE = 0.6; // probability of a word below which it is shown as unsure
let table = {}, words = {}, segments = [], name = "recording.wav", until = Infinity, recording = null;
let opened = null, corpusName = null;

// --- words of the page ---

async function loadWords() {
  table = await (await fetch("page/words.json")).json();
  for (const [code, own] of Object.entries(table)) $("language").add(new Option(own.name, code));
  const wanted = [localStorage.getItem("language"), ...navigator.languages.map((l) => l.slice(0, 2))];
  speak(wanted.find((code) => code in table) || "en");
}

function speak(code) {
  words = { ...table.en, ...table[code] };
  document.documentElement.lang = code;
  $("language").value = code;
  for (const one of document.querySelectorAll("[data-word]")) one.textContent = words[one.dataset.word];
  for (const one of document.querySelectorAll("[data-label]")) {
    one.title = words[one.dataset.label];
    one.setAttribute("aria-label", one.title);
  }
  $("view").setAttribute("aria-label", words.view);
}

function status(text, error = false) {
  $("status").textContent = text;
  $("status").classList.toggle("error", error);
}

function failed(error) {
  $("token-form").hidden = error.status !== 401;
  status(error.status === 401 ? words.ask_token : `${words.failed} ${error.message}`, true);
}

async function loadModels() {
  try {
    const found = await models();
    $("model").replaceChildren(...found.map((id) => new Option(id, id)));
    corpusName = await corpus();
    $("token-form").hidden = true;
    status("");
  } catch (error) {
    failed(error);
  }
}

// --- a recording ---

function begin() {
  segments = [];
  until = Infinity;
  opened = null;
  audio.pause();
  $("segments").replaceChildren();
  $("live").textContent = "";
  $("add-form").hidden = true;
  $("result").hidden = false;
  view.clear();
}

async function open(file) {
  begin();
  name = file.name;
  opened = file;
  status(words.working);
  if (audio.src) URL.revokeObjectURL(audio.src);
  audio.src = URL.createObjectURL(file);
  const drawn = draw(file);
  try {
    await transcribe(file, $("model").value, addSegment);
    const shown = await drawn;
    $("add-form").hidden = !(corpusName && segments.length);
    status(segments.length ? (shown ? words.done : words.not_drawn) : words.empty);
  } catch (error) {
    failed(error);
  }
}

// Draw the spectrogram; false where the browser cannot decode the file.
async function draw(file) {
  const context = new OfflineAudioContext(1, 1, 16000);
  try {
    const decoded = await context.decodeAudioData(await file.arrayBuffer());
    if (file !== opened) return true; // another one was opened in the meantime
    view.load(decoded.getChannelData(0));
    show();
    return true;
  } catch {
    return false;
  }
}

function addSegment(segment) {
  segments.push(segment);
  view.add(segment);
  $("view").setAttribute("aria-valuemax", view.duration.toFixed(1));
  const item = document.createElement("li");
  const button = document.createElement("button");
  button.textContent = clock(segment.start);
  button.onclick = () => play(segment.start, segment.end);
  const text = document.createElement("div");
  text.className = "text";
  text.contentEditable = "true";
  text.spellcheck = false;
  segment.words.forEach((word, i) => {
    const part = document.createElement("span");
    part.textContent = word.word;
    part.title = `${Math.round(100 * word.probability)} %`;
    if (word.probability < UNSURE) part.className = "unsure";
    part.onclick = () => { if (audio.paused) seek(word.start); };
    text.append(i ? " " : "", part);
  });
  text.oninput = () => { segment.corrected = text.innerText.replace(/\s+/g, " ").trim(); };
  text.onkeydown = (event) => {
    if (event.key !== "Enter") return;
    event.preventDefault();
    if (event.ctrlKey) button.click();
  };
  item.append(button, text);
  $("segments").append(item);
  show();
}

// --- playing ---

function show() {
  view.draw(audio.currentTime);
  segments.forEach(({ start, end }, i) => {
    const now = audio.currentTime >= start && audio.currentTime < end;
    $("segments").children[i]?.classList.toggle("now", now);
  });
  $("clock").textContent = clock(audio.currentTime);
  $("view").setAttribute("aria-valuenow", audio.currentTime.toFixed(1));
  $("view").setAttribute("aria-valuetext", clock(audio.currentTime));
}

function seek(seconds) {
  audio.currentTime = Math.max(0, Math.min(seconds, audio.duration || view.duration));
  view.follow(audio.currentTime);
  show();
}

function play(from, to) {
  seek(from);
  until = to;
  audio.play();
}

function toggle() {
  until = Infinity;
  if (audio.paused) audio.play();
  else audio.pause();
}

function follow() {
  if (audio.currentTime >= until) audio.pause();
  show();
  view.follow(audio.currentTime);
  if (!audio.paused) requestAnimationFrame(follow);
}

audio.onplay = () => {
  $("play").textContent = words.pause;
  follow();
};
audio.onpause = () => {
  $("play").textContent = words.play;
  show();
};
audio.onseeked = show;

// --- the microphone ---

async function record() {
  if (recording) {
    const { microphone, session, blocks } = recording;
    recording = null;
    await microphone.close();
    session.end();
    $("record").textContent = words.record;
    $("record").setAttribute("aria-pressed", "false");
    const samples = new Float32Array(blocks.reduce((sum, block) => sum + block.length, 0));
    blocks.reduce((at, block) => (samples.set(block, at), at + block.length), 0);
    await open(toWav(samples, microphone.rate));
    return;
  }
  if (!navigator.mediaDevices) return status(words.no_microphone, true);
  begin();
  const blocks = [];
  try {
    let session = null;
    const microphone = await openMicrophone((block) => {
      blocks.push(block);
      if (session) session.send(block);
    });
    session = await live($("model").value, microphone.rate, heard);
    blocks.forEach((block) => session.send(block));
    recording = { microphone, session, blocks };
    $("record").textContent = words.stop;
    $("record").setAttribute("aria-pressed", "true");
    status(words.listening);
  } catch (error) {
    if (error.name === "NotAllowedError" || error.name === "NotFoundError") status(words.no_microphone, true);
    else failed(error);
  }
}

function heard(message) {
  if (!recording) return;
  if (message.type === "partial") $("live").textContent = message.text;
  if (message.type === "settled") {
    $("live").textContent = "";
    if (message.text) {
      addSegment(message);
      view.follow(message.end);
    }
  }
}

// --- downloads, and the corpus ---

function corrected() {
  return segments.map(({ start, end, words: own, corrected: text }) => {
    const whole = text ?? own.map((word) => word.word).join(" ");
    return { start, end, text: whole, words: text === undefined ? own : [] };
  });
}

async function download(form) {
  try {
    const content = await annotations(form, name, view.duration || audio.duration || 0, corrected());
    const link = document.createElement("a");
    link.href = URL.createObjectURL(content);
    link.download = `${name.replace(/\.[^.]*$/, "")}.${form === "textgrid" ? "TextGrid" : form}`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  } catch (error) {
    failed(error);
  }
}

async function add() {
  const button = $("add-form").querySelector("button");
  const given = corrected().filter(({ text }) => text).map(({ start, end, text }) => ({ start, end, text }));
  if (!given.length) return status(words.empty, true);
  button.disabled = true;
  try {
    const clips = await addToCorpus(opened, given, $("speaker").value);
    status(words.added.replace("{clips}", clips).replace("{corpus}", corpusName));
  } catch (error) {
    failed(error);
  } finally {
    button.disabled = false;
  }
}

// --- what is clicked ---

$("choose").onclick = () => $("file").click();
$("file").onchange = () => { if ($("file").files.length) open($("file").files[0]); };
$("record").onclick = record;
$("play").onclick = toggle;
$("language").onchange = () => {
  localStorage.setItem("language", $("language").value);
  speak($("language").value);
};
$("token-form").onsubmit = (event) => {
  event.preventDefault();
  setToken($("token").value);
  loadModels();
};
$("closer").onclick = () => view.closer();
$("farther").onclick = () => view.farther();
$("fit").onclick = () => view.fit();
$("add-form").onsubmit = (event) => {
  event.preventDefault();
  add();
};
$("view").onclick = (event) => seek(view.timeAt(event));
$("view").onkeydown = (event) => {
  const page = view.seconds;
  const steps = { ArrowLeft: -1, ArrowRight: 1, PageUp: -page, PageDown: page, Home: -Infinity, End: Infinity };
  const zooms = { "+": "closer", "=": "closer", "-": "farther", 0: "fit" };
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === " ") toggle();
  else if (event.key in steps) seek(audio.currentTime + steps[event.key]);
  else if (event.key in zooms) view[zooms[event.key]]();
  else return;
  event.preventDefault();
};
$("scroll").onscroll = () => view.draw();
$("view").addEventListener("wheel", (event) => {
  if (!event.ctrlKey && !event.metaKey) return; // a pinch on a touchpad comes as this, too
  event.preventDefault();
  view.zoom(Math.exp(-event.deltaY / 200), event.offsetX);
}, { passive: false });
let apart = 0; // pixels between two fingers
$("view").addEventListener("touchmove", (event) => {
  if (event.touches.length !== 2) return;
  event.preventDefault();
  const [one, other] = event.touches, now = Math.abs(one.clientX - other.clientX);
  if (apart && now) view.zoom(now / apart, (one.clientX + other.clientX) / 2 - $("scroll").getBoundingClientRect().left);
  apart = now;
}, { passive: false });
for (const kind of ["touchstart", "touchend"]) $("view").addEventListener(kind, () => { apart = 0; }, { passive: true });
new ResizeObserver(() => view.resize()).observe($("scroll"));
view.dark.onchange = () => view.draw();
for (const button of $("downloads").querySelectorAll("button")) button.onclick = () => download(button.dataset.form);
document.ondragover = (event) => {
  event.preventDefault();
  $("drop").classList.add("over");
};
document.ondragleave = () => $("drop").classList.remove("over");
document.ondrop = (event) => {
  event.preventDefault();
  $("drop").classList.remove("over");
  if (event.dataTransfer.files.length) open(event.dataTransfer.files[0]);
};

await loadWords();
await loadModels();
document.documentElement.dataset.ready = "true";
