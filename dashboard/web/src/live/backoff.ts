/** Milliseconds to wait before reconnecting: exponential with full jitter, so a fleet of pages spreads out. */
export function backoff(attempt: number, random: () => number, first = 500, cap = 15_000): number {
  const ceiling = Math.min(cap, first * 2 ** Math.min(attempt, 16));
  return Math.round(Math.max(100, random() * ceiling));
}
