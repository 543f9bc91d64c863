import { PERSON, className } from './cocoNames.js';

const WARM = '#ffc45c', PALE = 'rgba(255, 255, 255, .8)', HALO = 'rgba(0, 0, 0, .55)';

/** Draw detections (source pixels) on a context whose canvas shows `source` in full; `unit` is one CSS pixel. */
export function drawBoxes(context, detections, source, unit) {
  const across = context.canvas.width / source.width;
  const down = context.canvas.height / source.height;
  // People last: nothing may cover them.
  const ordered = [...detections].sort((a, b) => (a.class_id === PERSON) - (b.class_id === PERSON));
  for (const found of ordered) {
    const isPerson = found.class_id === PERSON;
    const box = [found.x1 * across, found.y1 * down, (found.x2 - found.x1) * across, (found.y2 - found.y1) * down];
    context.lineJoin = 'round';
    for (const [colour, width] of isPerson ? [[HALO, 4.5], [WARM, 2.5]] : [[HALO, 2.5], [PALE, 1]]) {
      context.strokeStyle = colour;
      context.lineWidth = width * unit;
      context.strokeRect(...box);
    }
    drawLabel(context, `${className(found.class_id)} ${Math.round(found.confidence * 100)} %`, box, isPerson, unit);
  }
}

function drawLabel(context, text, [left, top, , height], isPerson, unit) {
  context.font = `${isPerson ? 600 : 400} ${(isPerson ? 13 : 11) * unit}px system-ui, sans-serif`;
  const wide = context.measureText(text).width + 10 * unit;
  const high = (isPerson ? 20 : 16) * unit;
  // Above the box, or at its feet where the picture ends: never over a face.
  const x = Math.max(0, Math.min(left - unit, context.canvas.width - wide));
  const y = top >= high ? top - high : Math.min(top + height, context.canvas.height - high);
  context.fillStyle = isPerson ? WARM : HALO;
  context.fillRect(x, y, wide, high);
  context.fillStyle = isPerson ? '#241800' : '#fff';
  context.textBaseline = 'middle';
  context.fillText(text, x + 5 * unit, y + high / 2);
}
