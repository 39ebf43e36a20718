/** What the page knows, asked again every five seconds while somebody looks. */
import * as api from '../api/http';
import type { Delivery, Health, ManagedAlert, RuleGroup, Silence, Target, Trying } from '../api/types';

const EVERY = 5000;

class Live {
  now = $state(Date.now());
  groups = $state<RuleGroup[]>([]);
  managed = $state<ManagedAlert[]>([]);
  silences = $state<Silence[]>([]);
  targets = $state<Target[]>([]);
  deliveries = $state<Delivery[]>([]);
  /** Messages that are tried again. */
  trying = $state<Trying[]>([]);
  /** Messages that wait or are under way. */
  waiting = $state(0);
  silentReceivers = $state<string[]>([]);
  health = $state<Health | null>(null);
  /** When everything was last read; 0 before the first time. */
  readAt = $state(0);
  /** Why reading fails, or empty. */
  problem = $state('');
  /** Samples a second, from one reading to the next. */
  rate = $state<number | null>(null);
  #counted: { at: number; samples: number } | null = null;
  #reading = false;

  /** Reads everything now. What fails leaves the old state, with its age. */
  async refresh(): Promise<void> {
    if (this.#reading) return;
    this.#reading = true;
    try {
      const [groups, managed, silences, targets, told, health] = await Promise.all([
        api.ruleGroups(),
        api.managedAlerts(),
        api.silences(),
        api.targets(),
        api.notifications(),
        api.health(),
      ]);
      const { notifications: deliveries, trying, waiting, silentReceivers } = told;
      Object.assign(this, { groups, managed, silences, targets, deliveries, trying, waiting, silentReceivers, health, problem: '' });
      this.readAt = Date.now();
      const counted = { at: this.readAt, samples: health.samplesAppended };
      if (this.#counted && counted.at > this.#counted.at) {
        const gained = counted.samples - this.#counted.samples;
        this.rate = gained < 0 ? null : (gained * 1000) / (counted.at - this.#counted.at);
      }
      this.#counted = counted;
    } catch (error) {
      this.problem = error instanceof Error ? error.message : String(error);
    } finally {
      this.#reading = false;
    }
  }

  /** Reads on until the returned function is called. */
  start(): () => void {
    const visible = () => document.visibilityState === 'visible';
    const read = () => visible() && void this.refresh();
    void this.refresh();
    const reading = setInterval(read, EVERY);
    const ticking = setInterval(() => (this.now = Date.now()), 1000);
    document.addEventListener('visibilitychange', read);
    return () => {
      clearInterval(reading);
      clearInterval(ticking);
      document.removeEventListener('visibilitychange', read);
    };
  }
}

export const live = new Live();
