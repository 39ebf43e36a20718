/** How series are called and coloured. A series keeps its colour by its labels, whatever else is shown. */
import type { Labels } from '../api/types';

export function nameOf(metric: Labels): string {
  const { __name__: name = '', ...rest } = metric;
  const labels = Object.entries(rest).map(([label, value]) => `${label}="${value}"`);
  return labels.length === 0 ? name || 'value' : `${name}{${labels.join(', ')}}`;
}

const COLOURS = 8;

export function colourOf(metric: Labels): string {
  let hash = 2166136261;
  for (const c of nameOf(metric)) hash = Math.imul(hash ^ (c.codePointAt(0) ?? 0), 16777619);
  return `--s${((hash >>> 0) % COLOURS) + 1}`;
}
