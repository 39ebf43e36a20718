/** Requests to the server that this page came from. */
import type { Health, ManagedAlert, Matcher, Notifications, RuleGroup, Series, Silence, Target } from './types';

/** Where the server is mounted: everything before the page's own path. */
const base = '';

class ServerError extends Error {}

async function request(path: string, init?: RequestInit): Promise<unknown> {
  let response: Response;
  try {
    response = await fetch(base + path, init);
  } catch (error) {
    if (error instanceof DOMException && error.name === 'AbortError') throw error;
    throw new ServerError('The server does not answer.');
  }
  const text = await response.text();
  let body: unknown = null;
  try {
    body = text === '' ? null : JSON.parse(text);
  } catch {
    body = text;
  }
  if (response.ok) return body;
  if (typeof body === 'string') throw new ServerError(body.trim());
  const said = body as { error?: unknown; message?: unknown } | null;
  const message = said?.error ?? said?.message;
  throw new ServerError(typeof message === 'string' ? message : `The server answered with status ${response.status}.`);
}

async function v1<T>(path: string, init?: RequestInit): Promise<T> {
  return ((await request(`/api/v1/${path}`, init)) as { data: T }).data;
}

async function own<T>(path: string): Promise<T> {
  return ((await request(`/api/foghorn/v1/${path}`)) as { data: T }).data;
}

export const ruleGroups = async () => (await v1<{ groups: RuleGroup[] }>('rules')).groups;
export const targets = async () => (await v1<{ activeTargets: Target[] }>('targets?state=active')).activeTargets;
export const managedAlerts = async () => (await request('/api/v2/alerts')) as ManagedAlert[];
export const silences = async () => (await request('/api/v2/silences')) as Silence[];
export const notifications = () => own<Notifications>('notifications');
export const health = () => own<Health>('health');

export async function queryRange(query: string, start: number, end: number, step: number, signal?: AbortSignal) {
  const body = new URLSearchParams({ query, start: String(start), end: String(end), step: String(step) });
  const init: RequestInit = { method: 'POST', body, ...(signal ? { signal } : {}) };
  return (await v1<{ result: Series[] }>('query_range', init)).result;
}

export interface NewSilence {
  matchers: Matcher[];
  startsAt: string;
  endsAt: string;
  createdBy: string;
  comment: string;
}

export async function putSilence(silence: NewSilence): Promise<string> {
  const answer = await request('/api/v2/silences', {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(silence),
  });
  return (answer as { silenceID: string }).silenceID;
}

export async function endSilence(id: string): Promise<void> {
  await request(`/api/v2/silence/${encodeURIComponent(id)}`, { method: 'DELETE' });
}
