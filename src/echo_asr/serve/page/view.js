// Spectrogram, F0 and words of a recording on one time axis, of which the part in the frame is drawn.

import { Spectrogram } from "./spectrogram.js";

const PIXELS = 120; // a second, to begin with
const MOST = 600; // pixels a second
const STEP = 1.6; // by which a button zooms
const SPECTRUM = 170, TEXT = 44, RULER = 18; // pixels, heights
const LOWEST = 60, HIGHEST = 500; // Hz, of F0
const TICKS = [0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1800, 3600]; // seconds
const APART = 64; // pixels between ticks, at least
const READABLE = 12; // pixels of a word, from which it is written

export function clock(seconds, digits = 1) {
  const rounded = Number(seconds.toFixed(digits));
  return `${Math.floor(rounded / 60)}:${(rounded % 60).toFixed(digits).padStart(digits ? 3 + digits : 2, "0")}`;
}

export class View {
  // `frame` scrolls, `wide` is as wide as the recording, and the canvas stays in the frame.
  constructor(frame, wide, canvas) {
    this.frame = frame;
    this.wide = wide;
    this.canvas = canvas;
    this.dark = matchMedia("(prefers-color-scheme: dark)");
    this.clear();
  }

  clear() {
    this.segments = [];
    this.spectrogram = null;
    this.duration = 0;
    this.now = 0;
    this.scale = PIXELS;
    this.frame.scrollLeft = 0;
    this.resize();
  }

  // Show the spectrogram of samples at 16 kHz.
  load(samples) {
    this.spectrogram = new Spectrogram(samples, SPECTRUM);
    this.duration = this.spectrogram.duration;
    this.scale = Math.min(MOST / 2, Math.max(PIXELS, this.least));
    this.resize();
  }

  add(segment) {
    this.segments.push(segment);
    if (segment.end > this.duration) {
      this.duration = segment.end;
      this.resize();
    }
  }

  get width() {
    return this.frame.clientWidth;
  }

  get seconds() {
    return this.width / this.scale;
  }

  // Pixels a second at which the whole recording is seen.
  get least() {
    return this.duration ? Math.min(MOST, this.width / this.duration) : PIXELS;
  }

  resize() {
    this.wide.style.width = `${Math.max(this.width, Math.floor(this.duration * this.scale))}px`;
    const ratio = devicePixelRatio || 1, height = SPECTRUM + TEXT + RULER;
    this.canvas.style.width = `${this.width}px`;
    this.canvas.style.height = `${height}px`;
    [this.canvas.width, this.canvas.height] = [Math.round(this.width * ratio), Math.round(height * ratio)];
    this.draw();
  }

  // Zoom by a factor about the place `x` pixels from the left of the frame, which stays where it is.
  zoom(factor, x = this.width / 2) {
    const time = (this.frame.scrollLeft + x) / this.scale;
    this.scale = Math.max(this.least, Math.min(MOST, this.scale * factor));
    this.resize();
    this.frame.scrollLeft = time * this.scale - x;
    this.draw();
  }

  closer() {
    this.zoom(STEP, this.place());
  }

  farther() {
    this.zoom(1 / STEP, this.place());
  }

  fit() {
    this.zoom(0);
  }

  // Where the time that is played is in the frame; in the middle where it is outside.
  place() {
    const x = this.now * this.scale - this.frame.scrollLeft;
    return x >= 0 && x <= this.width ? x : this.width / 2;
  }

  // Scroll so that a time is seen.
  follow(time) {
    const x = time * this.scale;
    if (x < this.frame.scrollLeft || x > this.frame.scrollLeft + this.width) this.frame.scrollLeft = x - 20;
  }

  timeAt(event) {
    return Math.max(0, Math.min(this.duration, (this.frame.scrollLeft + event.offsetX) / this.scale));
  }

  // Draw once, before the browser shows the next picture.
  draw(now = this.now) {
    this.now = now;
    this.asked ||= requestAnimationFrame(() => {
      this.asked = 0;
      this.paint();
    });
  }

  paint() {
    const context = this.canvas.getContext("2d"), style = getComputedStyle(document.documentElement);
    const colour = (name) => style.getPropertyValue(name).trim();
    const left = this.frame.scrollLeft, ratio = devicePixelRatio || 1, from = left / this.scale, to = from + this.seconds;
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.fillStyle = colour("--back");
    context.fillRect(0, 0, this.width, SPECTRUM + TEXT + RULER);
    if (this.spectrogram?.draw(context, left, this.width, this.scale, this.dark.matches)) this.draw();
    context.textBaseline = "middle";
    for (const segment of this.segments) {
      if (segment.end < from || segment.start > to) continue;
      this.paintPitch(context, segment, left, colour("--pitch"));
      this.paintWords(context, segment, left, colour("--line"), colour("--front"));
    }
    this.paintRuler(context, from, to, left, colour("--soft"), colour("--line"));
    context.fillStyle = colour("--accent");
    context.fillRect(this.now * this.scale - left - 1, 0, 2, SPECTRUM + TEXT);
  }

  paintPitch(context, segment, left, colour) {
    context.fillStyle = colour;
    (segment.f0 || []).forEach((f0, i) => {
      const x = (segment.start + i / 100) * this.scale - left;
      if (f0 <= 0 || x < -2 || x > this.width) return;
      const y = SPECTRUM * (1 - Math.log2(f0 / LOWEST) / Math.log2(HIGHEST / LOWEST));
      context.fillRect(x, y - 1, Math.max(this.scale < PIXELS / 2 ? 1 : 2, this.scale / 100), 3);
    });
  }

  paintWords(context, segment, left, line, front) {
    context.font = "15px system-ui, sans-serif";
    for (const word of segment.words) {
      const x = word.start * this.scale - left, width = Math.max(1, (word.end - word.start) * this.scale);
      if (x + width < 0 || x > this.width) continue;
      context.strokeStyle = line;
      context.strokeRect(x + 0.5, SPECTRUM + 6.5, width, TEXT - 14);
      if (width < READABLE) continue;
      context.fillStyle = front;
      context.globalAlpha = 0.4 + 0.6 * word.probability;
      context.fillText(word.word, x + 3, SPECTRUM + TEXT / 2, width - 4);
      context.globalAlpha = 1;
    }
  }

  paintRuler(context, from, to, left, soft, line) {
    const tick = TICKS.find((seconds) => seconds * this.scale >= APART) || TICKS.at(-1);
    context.font = "11px system-ui, sans-serif";
    for (let number = Math.floor(from / tick); number * tick <= Math.min(to, this.duration); number++) {
      const x = Math.round(number * tick * this.scale - left);
      context.fillStyle = line;
      context.fillRect(x, SPECTRUM + TEXT, 1, 6);
      context.fillStyle = soft;
      context.fillText(clock(number * tick, tick < 1 ? 1 : 0), x + 3, SPECTRUM + TEXT + RULER / 2);
    }
  }
}
