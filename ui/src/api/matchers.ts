/** Matchers as text: `alertname="X", severity=~"warning|critical"`. */
import type { Labels, Matcher } from './types';

const ONE = /^\s*("(?:[^"\\]|\\.)*"|[^\s=!~,{}"]+)\s*(=~|!~|!=|=)\s*("(?:[^"\\]|\\.)*"|[^\s,{}"]*)\s*(?:,|$)/;

function unquote(text: string): string {
  if (!text.startsWith('"')) return text;
  return text.slice(1, -1).replace(/\\(.)/g, (_, c: string) => (c === 'n' ? '\n' : c));
}

/** The matchers, or where reading stopped. Braces around all of them are optional. */
export function parseMatchers(text: string): { matchers: Matcher[]; error: string | null } {
  const matchers: Matcher[] = [];
  let rest = text.trim().replace(/^\{/, '').replace(/\}$/, '').trim();
  while (rest !== '') {
    const found = ONE.exec(rest);
    if (!found) return { matchers, error: `“${rest.slice(0, 30)}” is not a matcher; write name="value"` };
    const [all, name = '', operator = '=', value = ''] = found;
    matchers.push({
      name: unquote(name),
      value: unquote(value),
      isRegex: operator.endsWith('~'),
      isEqual: !operator.startsWith('!'),
    });
    rest = rest.slice(all.length).trim();
  }
  return { matchers, error: null };
}

export function matcherText(matcher: Matcher): string {
  const equal = matcher.isEqual ?? true;
  const sign = matcher.isRegex ? (equal ? '=~' : '!~') : equal ? '=' : '!=';
  return `${matcher.name}${sign}${JSON.stringify(matcher.value)}`;
}

export function matcherOf(labels: Labels): Matcher[] {
  return Object.entries(labels).map(([name, value]) => ({ name, value, isRegex: false, isEqual: true }));
}

export function matches(matchers: Matcher[], labels: Labels): boolean {
  return matchers.every((matcher) => {
    const value = labels[matcher.name] ?? '';
    let fits: boolean;
    if (matcher.isRegex) {
      try {
        fits = new RegExp(`^(?:${matcher.value})$`, 's').test(value);
      } catch {
        fits = false;
      }
    } else {
      fits = value === matcher.value;
    }
    return fits === (matcher.isEqual ?? true);
  });
}
