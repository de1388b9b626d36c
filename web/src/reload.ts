// When the page loads itself again, and how: only when the box answers (a reload into a dead
// network would leave the browser's error page on the TV), and never in a tight loop.

export const SILENT_RELOAD_MS = 60_000;
export const REFUSED_RELOAD_MS = 5_000;
const NIGHT_HOUR = 4;
const NIGHT_UPTIME_MS = 60 * 60_000;
const BETWEEN_RELOADS_MS = 30_000;
const BETWEEN_PROBES_MS = 5_000;
const PROBE_TIMEOUT_MS = 4_000;
const KEY = "pulsegate.reloaded";

/** At four in the morning, once: a page younger than that hour has already been reloaded. */
export function isNightlyDue(now: Date, uptimeMs: number): boolean {
  return now.getHours() === NIGHT_HOUR && uptimeMs >= NIGHT_UPTIME_MS;
}

/** `last` is the wall clock at the last reload, null if there was none; a clock set back does not block. */
export function mayReload(last: number | null, now: number): boolean {
  return last === null || now < last || now - last >= BETWEEN_RELOADS_MS;
}

export class Reloader {
  private probing = false;
  private lastProbe = -Infinity;

  /** Reloads if it is allowed and the box answers. Calls `onDead` when it does not answer. Ask as often as you like. */
  ask(onDead: () => void = () => {}): void {
    const now = performance.now();
    if (this.probing || now - this.lastProbe < BETWEEN_PROBES_MS || !mayReload(readLast(), Date.now())) return;
    this.probing = true;
    this.lastProbe = now;
    void answers().then((alive) => {
      this.probing = false;
      if (!alive) return onDead();
      writeLast(Date.now());
      location.reload();
    });
  }
}

/** Any HTTP answer will do, a refusal too: then the server has something to show. */
async function answers(): Promise<boolean> {
  const controller = new AbortController();
  const timer = setTimeout(() => controller.abort(), PROBE_TIMEOUT_MS);
  try {
    await fetch("/", { method: "HEAD", cache: "no-store", redirect: "manual", signal: controller.signal });
    return true;
  } catch {
    return false;
  } finally {
    clearTimeout(timer);
  }
}

// Session storage outlives a reload and dies with the tab. It can be forbidden: then there is no memory.
function readLast(): number | null {
  try {
    const value = Number(sessionStorage.getItem(KEY));
    return value > 0 ? value : null;
  } catch {
    return null;
  }
}

function writeLast(now: number): void {
  try {
    sessionStorage.setItem(KEY, String(now));
  } catch {
    // see above
  }
}
