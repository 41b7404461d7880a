// The page: drop or record, see, play, correct, download.

import { openMicrophone, toWav } from "./microphone.js";
import { annotations, live, models, setToken, transcribe } from "./service.js";
import { View } from "./view.js";

const $ = (id) => document.getElementById(id);
const view = new View($("view"));
const audio = $("audio");
const UNSURE = 0.6; // probability of a word below which it is shown as unsure
let table = {}, words = {}, segments = [], name = "recording.wav", until = Infinity, recording = null;

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
  audio.pause();
  view.clear(0);
  $("segments").replaceChildren();
  $("live").textContent = "";
  $("result").hidden = false;
}

async function open(file) {
  begin();
  name = file.name;
  status(words.working);
  if (audio.src) URL.revokeObjectURL(audio.src);
  audio.src = URL.createObjectURL(file);
  const drawn = draw(file);
  try {
    await transcribe(file, $("model").value, addSegment);
    const shown = await drawn;
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
    const had = view.segments;
    view.load(decoded.getChannelData(0));
    had.forEach((segment) => view.add(segment));
    $("view").setAttribute("aria-valuemax", view.duration.toFixed(1));
    show();
    return true;
  } catch {
    return false;
  }
}

function addSegment(segment) {
  segments.push(segment);
  view.add(segment);
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

function clock(seconds) {
  return `${Math.floor(seconds / 60)}:${(seconds % 60).toFixed(1).padStart(4, "0")}`;
}

function show() {
  view.draw(audio.currentTime);
  $("clock").textContent = clock(audio.currentTime);
  $("view").setAttribute("aria-valuenow", audio.currentTime.toFixed(1));
  $("view").setAttribute("aria-valuetext", clock(audio.currentTime));
}

function seek(seconds) {
  audio.currentTime = Math.max(0, seconds);
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
  const x = audio.currentTime * view.scale, frame = $("scroll");
  if (x < frame.scrollLeft || x > frame.scrollLeft + frame.clientWidth) frame.scrollLeft = x - 20;
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
    if (message.text) addSegment(message);
  }
}

// --- downloads ---

async function download(form) {
  const given = segments.map(({ start, end, words: own, corrected }) => {
    const text = corrected ?? own.map((word) => word.word).join(" ");
    return { start, end, text, words: corrected === undefined ? own : [] };
  });
  try {
    const content = await annotations(form, name, view.duration || audio.duration || 0, given);
    const link = document.createElement("a");
    link.href = URL.createObjectURL(content);
    link.download = `${name.replace(/\.[^.]*$/, "")}.${form === "textgrid" ? "TextGrid" : form}`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  } catch (error) {
    failed(error);
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
$("view").onclick = (event) => seek(view.timeAt(event));
$("view").onkeydown = (event) => {
  const steps = { ArrowLeft: -1, ArrowRight: 1, Home: -Infinity };
  if (event.key === " ") toggle();
  else if (event.key in steps) seek(audio.currentTime + steps[event.key]);
  else return;
  event.preventDefault();
};
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
