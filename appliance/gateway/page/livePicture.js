import { drawBoxes } from './boxes.js';

const STALLED_MS = 3000;
const SILENT_MS = 10_000;     // a socket this quiet may be half open (Wi-Fi gone): try a new one
const RETRY_MS = [500, 5000];
const HOLD_BOXES_MS = 500;    // the model looks at fewer frames than the camera gives; without this boxes would flicker

/** One camera's live picture. Shows the newest frame or says that it cannot; nothing is ever queued. */
export class LivePicture {
  #wanted = false;
  #socket = null;
  #busy = false;
  #retry = RETRY_MS[0];
  #timer = 0;
  #heardAt = 0;
  #freshAt = 0;
  #boxes = { detections: [], at: -Infinity };
  #dark = false;

  constructor(canvas, address, onNews) {
    this.canvas = canvas;
    this.address = address;
    this.onNews = onNews;
    canvas.dataset.frames = 0;
    canvas.dataset.boxes = 0;
  }

  get stalled() {
    return performance.now() - this.#freshAt > STALLED_MS;
  }

  resume() {
    if (this.#wanted || document.hidden) return;
    this.#wanted = true;
    this.#freshAt = performance.now();
    this.#connect();
  }

  pause() {
    this.#wanted = false;
    this.#forget();
    this.#clear();  // on return, an old picture must not pass for a live one
  }

  /** The live view is switched off: nothing is shown, not even what was on its way, until a picture comes. */
  darken() {
    this.#freshAt = performance.now();
    if (this.#dark) return;
    this.#dark = true;
    this.#clear();
  }

  #clear() {
    this.canvas.width = 1;
    this.canvas.dataset.boxes = 0;
    this.#boxes = { detections: [], at: -Infinity };
  }

  /** Called twice a second. */
  tick() {
    if (this.#socket && performance.now() - this.#heardAt > SILENT_MS) this.#reconnect();
  }

  #connect() {
    clearTimeout(this.#timer);
    const socket = this.#socket = new WebSocket(this.address());
    this.#heardAt = performance.now();
    socket.binaryType = 'arraybuffer';
    socket.onmessage = ({ data }) => this.#receive(socket, data);
    socket.onclose = () => this.#reconnect();
  }

  #forget() {
    clearTimeout(this.#timer);
    if (!this.#socket) return;
    this.#socket.onmessage = this.#socket.onclose = null;
    this.#socket.close();
    this.#socket = null;
  }

  #reconnect() {
    this.#forget();
    this.#timer = setTimeout(() => this.#connect(), this.#retry);
    this.#retry = Math.min(this.#retry * 2, RETRY_MS[1]);
  }

  async #receive(socket, data) {
    this.#heardAt = performance.now();
    try {
      const length = new DataView(data).getUint32(0, true);
      const news = JSON.parse(new TextDecoder().decode(new Uint8Array(data, 4, length)));
      if (news.live_view === false) {
        this.darken();
        this.#retry = RETRY_MS[0];
        this.onNews(news);
        return;  // what it carries is a notice for other clients
      }
      this.#dark = false;
      this.onNews(news);
      if (this.#busy) return;  // drop it: a newer one follows
      this.#busy = true;
      try {
        const jpeg = new Blob([new Uint8Array(data, 4 + length)], { type: 'image/jpeg' });
        const bitmap = await createImageBitmap(jpeg);
        await new Promise(requestAnimationFrame);
        if (socket === this.#socket && !this.#dark) this.#draw(bitmap, news);
        bitmap.close();
      } finally {
        this.#busy = false;
      }
    } catch (error) {
      // A broken frame is dropped; if no good one follows, the picture says "stalled".
      console.warn('frame dropped:', error);
    }
  }

  #draw(bitmap, news) {
    const now = performance.now();
    const blind = news.known === false || news.detecting === false;
    if (news.detections && !blind) this.#boxes = { detections: news.detections, at: now };
    else if (blind || now - this.#boxes.at > HOLD_BOXES_MS) this.#boxes = { detections: [], at: now };

    // As many pixels as the screen has: labels stay crisp however small the camera's picture is.
    const { canvas } = this;
    const unit = window.devicePixelRatio || 1;
    const source = { width: news.width || bitmap.width, height: news.height || bitmap.height };
    const scale = Math.min(canvas.clientWidth / source.width, canvas.clientHeight / source.height) * unit;
    const width = Math.max(1, Math.round(source.width * scale));
    const height = Math.max(1, Math.round(source.height * scale));
    if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });

    const context = canvas.getContext('2d');
    context.drawImage(bitmap, 0, 0, width, height);
    drawBoxes(context, this.#boxes.detections, source, unit);
    canvas.dataset.frames = Number(canvas.dataset.frames) + 1;
    canvas.dataset.boxes = this.#boxes.detections.length;
    this.#freshAt = now - (news.age_ms || 0);
    this.#retry = RETRY_MS[0];
    this.ratio = source.width / source.height;
  }
}
