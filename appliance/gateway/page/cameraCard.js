import { socketAddress } from './access.js';
import { fill, make, say } from './elements.js';
import { LivePicture } from './livePicture.js';
import { timeOf, visits } from './visits.js';

export const WORDS = {
  standby: 'Nobody there', validation: 'Looking twice', tracking: 'Somebody is there', unknown: 'Cannot see',
  off: 'Detection is off',
};
const FRESH_MS = 3000;
const TEST_HOOKS = {
  '.state': 'state', '.detail': 'detail', '.figures': 'figures', canvas: 'picture', '.picture-fault': 'fault',
  '.visits ol': 'transitions',
};

/** One camera on the page: its picture, what it says, its visits. */
export class CameraCard {
  #camera = null;
  #heard = null;  // the newest word from the picture's socket, which is quicker than the poll

  constructor(id, onChange) {
    this.onChange = onChange;
    this.element = document.getElementById('camera').content.firstElementChild.cloneNode(true);
    this.part = (selector) => this.element.querySelector(selector);
    this.element.dataset.testid = `camera-${id}`;
    for (const [selector, hook] of Object.entries(TEST_HOOKS)) this.part(selector).dataset.testid = `${hook}-${id}`;
    this.picture = new LivePicture(this.part('canvas'), () => socketAddress(id), (news) => this.#hear(news));
  }

  get name() {
    return this.#camera.name || this.#camera.id;
  }

  /** The newest word from the picture's socket, while it is news. */
  get #fresh() {
    return this.#heard && performance.now() - this.#heard.at < FRESH_MS ? this.#heard : null;
  }

  /** The sentry's state; `off` if its owner wants no detection; `unknown` if either source cannot see: never "nobody" on
      half a word. */
  get state() {
    const heard = this.#fresh;
    if (!(heard?.detecting ?? this.#camera.detecting ?? true)) return 'off';
    if (!this.#camera.known || heard?.known === false) return 'unknown';
    const state = heard?.state ?? this.#camera.state;
    return Object.hasOwn(WORDS, state) ? state : 'unknown';
  }

  update(camera) {
    this.#camera = camera;
    this.show();
  }

  get #liveView() {
    return this.#fresh?.live_view ?? this.#camera.live_view ?? true;
  }

  #hear({ state, known, detecting, live_view }) {
    const before = this.#heard;
    this.#heard = { state, known, detecting, live_view, at: performance.now() };
    const changed = (key) => before?.[key] !== this.#heard[key];
    if (['state', 'known', 'detecting', 'live_view'].some(changed)) this.onChange();
  }

  show() {
    const { state, picture, part } = this;
    const camera = this.#camera;
    this.element.dataset.state = state;
    say(part('h2'), this.name);
    say(part('.state'), WORDS[state]);
    say(part('.detail'), this.#detail(state));
    say(part('.figures'), figures(camera, state));
    part('canvas').setAttribute('aria-label', `Live picture of ${this.name}`);

    if (!this.#liveView) picture.darken();
    const fault = this.#pictureFault(state);
    say(part('.picture-fault'), fault);
    part('.picture-fault').hidden = !fault;
    part('.picture').classList.toggle('faulty', Boolean(fault));
    if (picture.ratio) this.element.style.setProperty('--ratio', picture.ratio.toFixed(4));

    const told = visits(camera.transitions ?? []).map((visit) => ({
      ...visit,
      time: timeOf(visit.at),
      link: visit.trace && camera.trace_url?.replace('{trace_id}', visit.trace),
    }));
    fill(part('.visits ol'), told.length ? told : [{ kind: 'empty', words: 'Nobody came yet.' }], visitLine);
  }

  #pictureFault(state) {
    if (!this.#liveView) return 'Live view is off';
    if (state === 'unknown') return WORDS.unknown;
    return this.picture.stalled ? 'Picture stalled' : '';
  }

  #detail(state) {
    const { reason, person_count: people, transitions, zones } = this.#camera;
    if (state === 'off') return '';
    if (state === 'unknown') return reason || 'The reason is not known yet';
    const last = transitions?.at(-1);
    return [
      state === 'tracking' && people > 1 && `${people} people`,
      zones?.length && `in ${zones.join(', ')}`,
      last?.state === state && `since ${timeOf(last.wall_ms)}`,
    ].filter(Boolean).join(' · ');
  }
}

function visitLine({ kind, words, at, time, extra, trace, link }) {
  if (!time) return make('li', { className: kind }, words);
  const when = make('span', {}, make('time', { dateTime: new Date(at).toISOString() }, time));
  if (extra) when.append(make('small', {}, ` · ${extra}`));
  if (trace) when.append(' ', why(trace, link));
  return make('li', { className: kind }, `${words} `, when);
}

/** The way to what led to it: a link where traces can be seen, else the trace's id to look it up by. */
function why(trace, link) {
  if (!link) return make('small', { className: 'trace', title: `Trace ${trace}` }, trace.slice(0, 8));
  return make('a', { className: 'trace', href: link, target: '_blank', rel: 'noopener', title: `Trace ${trace}` }, 'Why?');
}

function figures({ fps, latency_ms: latency, queue_ms: queue }, state) {
  const rate = `${figure(fps, 1)} fps`;
  if (state === 'off') return rate;  // the last latency is of a look that was long ago
  const waiting = Number.isFinite(latency) && Number.isFinite(queue) ? `, ${figure(queue, 0)} ms waiting` : '';
  return `${rate} · ${figure(latency, 0)} ms latency${waiting}`;
}

/** A measured value, or a dash where there is none. */
function figure(value, digits) {
  return Number.isFinite(value) ? value.toFixed(digits) : '–';
}
