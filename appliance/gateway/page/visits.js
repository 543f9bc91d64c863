/** Turn sentry transitions (oldest first) into what a person would say of them, newest first. */
export function visits(transitions) {
  const told = [];
  let cameAt = null;
  for (const { state, previous_state: before, wall_ms: at, confidence, trace_id: trace } of transitions) {
    const tell = (kind, words, time, extra = '') => told.unshift({ kind, words, at: time, extra, trace });
    if (state === 'tracking') {
      tell('came', 'Somebody came', at, confidence ? `${Math.round(confidence * 100)} %` : '');
      cameAt = at;
    } else if (before === 'tracking') {
      if (cameAt === null) tell('left', 'Left', at);  // the coming has dropped out of the list
      else tell('left stay', 'Left', at, `stayed ${duration(at - cameAt)}`);
      cameAt = null;
    } else if (before === 'validation') {
      tell('nobody', 'Looked twice, nobody', at);
    }
  }
  return told;
}

export function duration(ms) {
  const seconds = Math.max(0, Math.round(ms / 1000));
  if (seconds < 60) return `${seconds} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return seconds % 60 ? `${minutes} min ${seconds % 60} s` : `${minutes} min`;
  return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

const CLOCK = new Intl.DateTimeFormat(undefined, { timeStyle: 'medium' });
const CLOCK_SHORT = new Intl.DateTimeFormat(undefined, { timeStyle: 'short' });
const DAY = new Intl.DateTimeFormat(undefined, { weekday: 'short', day: 'numeric', month: 'short' });

/** The time of day; with its date where that is not today's. */
export function timeOf(ms) {
  const date = new Date(ms);
  if (date.toDateString() === new Date().toDateString()) return CLOCK.format(date);
  return `${DAY.format(date)}, ${CLOCK_SHORT.format(date)}`;
}
