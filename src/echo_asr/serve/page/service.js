// What the page asks of the service.

let token = sessionStorage.getItem("token") || "";

export function setToken(value) {
  token = value;
  sessionStorage.setItem("token", value);
}

function headers() {
  return token ? { Authorization: `Bearer ${token}` } : {};
}

async function checked(response) {
  if (response.ok) return response;
  const body = await response.json().catch(() => ({}));
  const error = new Error(body.error?.message || response.statusText);
  error.status = response.status;
  throw error;
}

export async function models() {
  const response = await checked(await fetch("v1/models", { headers: headers() }));
  return (await response.json()).data.map((model) => model.id);
}

// Sends a recording; `onSegment` gets { start, end, delta, words, f0 } of each segment as soon as it is known.
export async function transcribe(file, model, onSegment) {
  const form = new FormData();
  form.append("model", model);
  form.append("stream", "true");
  form.append("include[]", "words");
  form.append("include[]", "pitch");
  form.append("file", file, file.name || "recording.wav");
  const response = await checked(
    await fetch("v1/audio/transcriptions", { method: "POST", body: form, headers: headers() }),
  );
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return null;
    const parts = (rest + value).split("\n\n");
    rest = parts.pop();
    for (const part of parts) {
      if (!part.startsWith("data: ")) continue;
      const event = JSON.parse(part.slice(6));
      if (event.error) throw new Error(event.error.message);
      if (event.type === "transcript.text.done") return event;
      onSegment(event);
    }
  }
}

// The content of an annotation file of corrected segments.
export async function annotations(form, name, duration, segments) {
  const body = JSON.stringify({ name, duration, segments });
  const json = { ...headers(), "Content-Type": "application/json" };
  return (await checked(await fetch(`v1/annotations/${form}`, { method: "POST", body, headers: json }))).blob();
}

// The name of the corpus that corrected recordings can be added to; null for none.
export async function corpus() {
  return (await (await checked(await fetch("v1/corpus", { headers: headers() }))).json()).name;
}

// Adds a corrected recording to the corpus; gives the number of its clips.
export async function addToCorpus(file, segments, speaker) {
  const form = new FormData();
  form.append("segments", JSON.stringify({ segments }));
  form.append("speaker", speaker);
  form.append("file", file, file.name || "recording.wav");
  const response = await checked(await fetch("v1/corpus", { method: "POST", body: form, headers: headers() }));
  return (await response.json()).clips.length;
}

// A session of live text; `onText` gets its messages. Returns { send(samples), end() }.
export function live(model, rate, onText) {
  const address = new URL("v1/live", location.href);
  address.protocol = address.protocol === "https:" ? "wss:" : "ws:";
  const socket = new WebSocket(address);
  socket.binaryType = "arraybuffer";
  let ready = false;
  const waiting = [];
  socket.onopen = () => {
    socket.send(JSON.stringify({ type: "start", model, sample_rate: rate, token }));
    ready = true;
    for (const message of waiting) socket.send(message);
  };
  const send = (message) => (ready ? socket.readyState === WebSocket.OPEN && socket.send(message) : waiting.push(message));
  return new Promise((settle, fail) => {
    const session = {
      send(samples) {
        const pcm = new Int16Array(samples.length);
        for (let i = 0; i < samples.length; i++) pcm[i] = Math.max(-1, Math.min(1, samples[i])) * 32767;
        send(pcm.buffer);
      },
      end() {
        send('{"type": "end"}');
      },
    };
    socket.onmessage = ({ data }) => {
      const message = JSON.parse(data);
      if (message.type === "ready") settle(session);
      if (message.type === "error") fail(new Error(message.error.message));
      onText(message);
    };
    socket.onerror = () => fail(new Error("WebSocket"));
  });
}
