/** Results of actions. Errors stay until they are read. */

export interface Toast {
  id: number;
  text: string;
  bad: boolean;
}

class Toasts {
  all = $state<Toast[]>([]);
  #next = 1;

  show(text: string, bad = false): void {
    const id = this.#next++;
    this.all.push({ id, text, bad });
    if (!bad) setTimeout(() => this.close(id), 6000);
  }

  close(id: number): void {
    this.all = this.all.filter((toast) => toast.id !== id);
  }
}

export const toasts = new Toasts();

/** Runs an action and says how it went. */
export async function act(done: string, action: () => Promise<unknown>): Promise<void> {
  try {
    await action();
    toasts.show(done);
  } catch (error) {
    toasts.show(error instanceof Error ? error.message : String(error), true);
  }
}
