import { authorization, hasToken, remember, takeTokenFromAddress } from './access.js';
import { CameraCard, WORDS } from './cameraCard.js';
import { fill, make, say } from './elements.js';
import { timeOf } from './visits.js';

const POLL_MS = [1000, 5000];
const ANSWER_MS = 2500;
const STALE_MS = 4000;  // no good answer for this long (a slow one and its pause fit in): what is shown is no longer news
const URGENCY = ['tracking', 'validation', 'unknown', 'standby', 'off'];

const at = (id) => document.getElementById(id);
const cards = new Map();
let pause = POLL_MS[0];
let timer = 0;
let asking = false;
let goodUntil = performance.now() + STALE_MS;
let lastHeard = null;
let version = null;

async function poll() {
  if (asking) return;
  asking = true;
  clearTimeout(timer);
  try {
    const response = await fetch('api/status', {
      headers: authorization(), cache: 'no-store', signal: AbortSignal.timeout(ANSWER_MS),
    });
    if (response.status === 401) return askForToken();
    if (!response.ok) throw new Error(`the gateway answered ${response.status}`);
    show(await response.json());
    pause = POLL_MS[0];
  } catch (error) {
    console.warn('api/status:', error.message);
    if (performance.now() > goodUntil) showLost();
    timer = setTimeout(poll, pause);
    pause = Math.min(pause * 2, POLL_MS[1]);
    return;
  } finally {
    asking = false;
  }
  timer = setTimeout(poll, pause);
}

function show(status) {
  if (version !== null && status.version !== version) location.reload();  // a tablet on the wall outlives updates
  version = status.version;
  const cameras = status.cameras ?? [];
  for (const [id, card] of cards) {
    if (cameras.some((camera) => camera.id === id)) continue;
    card.picture.pause();
    card.element.remove();
    cards.delete(id);
  }
  for (const camera of cameras) {
    if (!cards.has(camera.id)) {
      const card = new CameraCard(camera.id, () => { showTogether(); poll(); });
      cards.set(camera.id, card);
      at('cameras').append(card.element);
    }
    cards.get(camera.id).update({ ...camera, trace_url: status.trace_url });
  }
  document.body.classList.toggle('single-page', cards.size === 1);
  at('cameras').classList.toggle('single', cards.size === 1);
  say(at('instance'), status.instance ?? '');
  showNotice('notice', status.model?.notice);
  showNotice('shortage', status.shortage);
  showNotice('building', status.building);
  showFooter(status);

  goodUntil = performance.now() + STALE_MS;
  lastHeard = Date.now();
  at('porch').inert = false;
  showTogether();
  for (const card of cards.values()) card.picture.resume();
}

/** The whole page takes the light of its most urgent camera. */
function showTogether() {
  if (at('porch').inert) return;
  const together = [...cards.values()];
  for (const card of together) card.show();
  const inState = (state) => together.filter((card) => card.state === state);
  const state = URGENCY.find((urgent) => inState(urgent).length) ?? 'unknown';
  const names = (named) => inState(named).map((card) => card.name).join(', ');
  // "Nobody there" without names is said of all of them, and only then.
  const tell = (named) => (named === 'standby' && inState(named).length === together.length ? WORDS.standby
    : `${WORDS[named]}: ${names(named)}`);
  const told = [state, ...['unknown', 'off'].filter((also) => also !== state && inState(also).length)];
  const headline = cards.size ? told.map(tell).join(' · ') : 'No camera is set up';
  document.body.dataset.state = state;
  say(at('headline'), headline);
  document.title = `${headline} – Porchlight`;
}

function showNotice(id, words) {
  say(at(id), words ?? '');
  at(id).hidden = !words;
}

function showFooter({ stages = [], mqtt = 'unknown', mqtt_problem: why, alarm = 'unknown', model, version: number }) {
  const items = stages.map(({ name, health, reason }) => {
    const fine = health === 'running';
    const said = [!fine && health, reason].filter(Boolean).join(', ');
    return [fine ? said && 'noted' : 'wanting', said ? `${name}: ${said}` : name];
  });
  items.push([mqtt === 'connected' || mqtt === 'off' ? why && 'noted' : 'wanting', why ? `MQTT ${mqtt}: ${why}` : `MQTT ${mqtt}`]);  // off is a setting, no fault
  if (alarm !== 'unknown') items.push([alarm === 'triggered' || alarm === 'pending' ? 'wanting' : '', `alarm: ${alarm.replace('_', ' ')}`]);
  fill(at('stages'), items, ([className, text]) => make('li', { className }, text));
  say(at('about'), `${model?.name || 'no model'} · Porchlight ${number ?? '–'}`);
}

/** Lay the cover over everything: `connecting`, `offline` or `token`. */
function cover(state, title, detail = '') {
  document.body.dataset.state = state;
  at('porch').inert = true;
  at('token-form').hidden = state !== 'token';
  document.title = `${title} – Porchlight`;
  say(at('cover-title'), title);
  say(at('cover-detail'), detail);
}

function showLost() {
  cover('offline', 'No connection', lastHeard === null ? 'Porchlight does not answer.'
    : `Last heard from Porchlight at ${timeOf(lastHeard)}. What lies underneath is old.`);
}

function askForToken() {
  for (const card of cards.values()) card.picture.pause();
  cover('token', 'Who is there?', hasToken() ? 'This token was not accepted.'
    : 'This page needs the token that is set as gateway.token.');
  at('token').focus();
}

function startAgain() {
  goodUntil = performance.now() + STALE_MS;
  pause = POLL_MS[0];
  cover('connecting', 'Connecting…');
  poll();
}

at('token-form').addEventListener('submit', (event) => {
  event.preventDefault();
  remember(at('token').value.trim());
  at('token').value = '';
  startAgain();
});
addEventListener('online', poll);
addEventListener('hashchange', () => { if (takeTokenFromAddress()) startAgain(); });
document.addEventListener('visibilitychange', () => {
  if (document.hidden) for (const card of cards.values()) card.picture.pause();
  else if (document.body.dataset.state === 'token') return;
  else if (performance.now() > goodUntil) startAgain();
  else poll();
});
setInterval(() => {
  if (document.hidden || document.body.dataset.state === 'token') return;
  for (const card of cards.values()) card.picture.tick();
  if (performance.now() > goodUntil) showLost();
  else showTogether();
}, 500);

takeTokenFromAddress();
startAgain();
