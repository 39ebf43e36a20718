/** One list from two views: what rules see, and what alerting does about it. */
import type { Delivery, Labels, ManagedAlert, Matcher, RuleGroup, Silence } from '../api/types';
import { matches } from '../api/matchers';

export type State = 'firing' | 'pending' | 'silenced' | 'inhibited' | 'muted';

export interface ShownAlert {
  key: string;
  name: string;
  state: State;
  labels: Labels;
  annotations: Labels;
  since: number;
  /** Seconds that the condition must hold, of a pending alert. */
  hold: number;
  value: number | null;
  query: string | null;
  silences: Silence[];
  delivery: Delivery | null;
  /** Receivers that tell somebody. */
  receivers: string[];
  /** Receivers of it that tell nobody. */
  silentReceivers: string[];
}

const contains = (all: Labels, part: Labels) => Object.entries(part).every(([name, value]) => all[name] === value);

function stateOf(managed: ManagedAlert | undefined): State {
  if (!managed || managed.status.state !== 'suppressed') return 'firing';
  if (managed.status.silencedBy.length > 0) return 'silenced';
  return managed.status.inhibitedBy.length > 0 ? 'inhibited' : 'muted';
}

const ORDER: State[] = ['firing', 'pending', 'silenced', 'inhibited', 'muted'];

export function alertsOf(
  groups: RuleGroup[],
  managed: ManagedAlert[],
  silences: Silence[],
  deliveries: Delivery[],
  silent: string[],
): ShownAlert[] {
  const taken = new Set<string>();
  const shown: ShownAlert[] = [];
  const finish = (alert: Omit<ShownAlert, 'silences' | 'delivery' | 'receivers' | 'silentReceivers'>, of: ManagedAlert | undefined) => {
    const names = of?.receivers.map((r) => r.name) ?? [];
    const delivery = of ? deliveries.find((d) => d.alerts.includes(of.fingerprint)) : undefined;
    shown.push({
      ...alert,
      silences: silences.filter((s) => of?.status.silencedBy.includes(s.id)),
      delivery: delivery ?? null,
      receivers: names.filter((name) => !silent.includes(name)),
      silentReceivers: names.filter((name) => silent.includes(name)),
    });
  };
  for (const group of groups) {
    for (const [place, rule] of group.rules.entries()) {
      for (const alert of rule.alerts ?? []) {
        const of = managed.find((m) => !taken.has(m.fingerprint) && contains(m.labels, alert.labels));
        if (of && alert.state === 'firing') taken.add(of.fingerprint);
        const own = {
          // Two rules may have the same name and give the same labels.
          key: `${group.file};${group.name};${place};${JSON.stringify(alert.labels)}`,
          name: rule.name,
          state: alert.state === 'pending' ? ('pending' as const) : stateOf(of),
          labels: alert.labels,
          annotations: alert.annotations,
          since: Date.parse(alert.activeAt),
          hold: rule.duration ?? 0,
          value: Number(alert.value),
          query: rule.language === 'promql' ? rule.query : null,
        };
        finish(own, alert.state === 'firing' ? of : undefined);
      }
    }
  }
  for (const alert of managed) {
    if (taken.has(alert.fingerprint)) continue;
    const { labels, annotations } = alert;
    const name = labels['alertname'] ?? 'unnamed alert';
    const since = Date.parse(alert.startsAt);
    finish({ key: alert.fingerprint, name, state: stateOf(alert), labels, annotations, since, hold: 0, value: null, query: null }, alert);
  }
  return shown.sort((a, b) => ORDER.indexOf(a.state) - ORDER.indexOf(b.state) || b.since - a.since);
}

export function filtered(alerts: ShownAlert[], filter: Matcher[]): ShownAlert[] {
  return filter.length === 0 ? alerts : alerts.filter((alert) => matches(filter, alert.labels));
}

/** `expression > number` at the end of a rule's query: what a chart of the rule needs. */
export function thresholdOf(query: string): { expr: string; threshold: number } | null {
  const found = /^([\s\S]+?)\s*(?:>=|<=|>|<)\s*(-?\d+(?:\.\d+)?)\s*$/.exec(query);
  if (!found?.[1] || found[2] === undefined) return null;
  return { expr: found[1], threshold: Number(found[2]) };
}
