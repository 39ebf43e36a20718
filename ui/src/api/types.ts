/** The answers of the server that the page uses. */

export type Labels = Record<string, string>;

export interface RuleAlert {
  labels: Labels;
  annotations: Labels;
  state: 'pending' | 'firing';
  activeAt: string;
  keepFiringSince?: string;
  value: string;
}

export interface Rule {
  type: 'alerting' | 'recording';
  name: string;
  query: string;
  language: string;
  health: 'ok' | 'err' | 'unknown';
  lastError?: string;
  labels: Labels;
  state?: 'inactive' | 'pending' | 'firing';
  duration?: number;
  alerts?: RuleAlert[];
}

export interface RuleGroup {
  name: string;
  file: string;
  interval: number;
  lastEvaluation: string;
  rules: Rule[];
}

export interface Beat {
  at: string;
  seconds: number;
  error: string | null;
}

export interface Target {
  labels: Labels;
  scrapePool: string;
  scrapeUrl: string;
  health: 'up' | 'down' | 'unknown';
  lastError: string;
  lastScrape: string;
  lastScrapeDuration: number;
  beats: Beat[];
}

export interface Matcher {
  name: string;
  value: string;
  isRegex: boolean;
  isEqual?: boolean;
}

export interface Silence {
  id: string;
  status: { state: 'active' | 'pending' | 'expired' };
  matchers: Matcher[];
  startsAt: string;
  endsAt: string;
  createdBy: string;
  comment: string;
}

export interface ManagedAlert {
  labels: Labels;
  annotations: Labels;
  fingerprint: string;
  startsAt: string;
  endsAt: string;
  receivers: { name: string }[];
  status: { state: 'unprocessed' | 'active' | 'suppressed'; silencedBy: string[]; inhibitedBy: string[]; mutedBy?: string[] };
}

export interface Delivery {
  at: string;
  receiver: string;
  integration: string;
  /** Position among the receiver's integrations of that kind, from 0. */
  index: number;
  groupKey: string;
  groupLabels: Labels;
  reason: string;
  firing: number;
  resolved: number;
  error: string | null;
  attempts: number;
  seconds: number;
  alerts: string[];
}

/** A message that did not get through yet and is tried again. */
export interface Trying {
  since: string;
  receiver: string;
  integration: string;
  /** Position among the receiver's integrations of that kind, from 0. */
  index: number;
  groupKey: string;
  groupLabels: Labels;
  reason: string;
  firing: number;
  resolved: number;
  error: string;
  attempts: number;
}

/** What became of messages, and what is to become of others. */
export interface Notifications {
  notifications: Delivery[];
  trying: Trying[];
  /** Messages that wait or are under way, those that are tried again among them. */
  waiting: number;
  /** Receivers without any integration. */
  silentReceivers: string[];
}

export interface Health {
  ready: boolean;
  problems: string[];
  replay: string;
  version: string;
  started: string;
  now: string;
  series: number;
  samplesAppended: number;
}

export interface Series {
  metric: Labels;
  /** Seconds since 1970, and the number as text. */
  values: [number, string][];
}
