// The page writes only what changed: live regions announce every write, and a screen reader loses its place in a list
// that is rebuilt each second.
const filled = new WeakMap();

export function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

export function fill(list, values, toElement) {
  const key = JSON.stringify(values);
  if (filled.get(list) === key) return;
  filled.set(list, key);
  list.replaceChildren(...values.map(toElement));
}

export function make(tag, properties, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}
