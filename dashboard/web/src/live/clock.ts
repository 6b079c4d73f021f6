/**
 * The server's clock, seen from here. Every age on the page is counted by it, so a wrong clock on the
 * viewer's machine makes no vehicle look fresh or stale.
 */

/** Estimates kept; at a time frame each 10 s this forgets after two minutes. */
const KEPT = 12;

export class ServerClock {
  private offsets: number[] = [];
  private outdated = false;

  /** `monotonic`: milliseconds of a clock that no one sets, such as performance.now(). */
  observe(serverTime: number, monotonic: number): void {
    if (this.outdated) this.offsets = [];
    this.outdated = false;
    this.offsets.push(serverTime - monotonic);
    if (this.offsets.length > KEPT) this.offsets.shift();
  }

  /** After a new connection the estimates may be of another server: they serve until it tells its time. */
  reset(): void {
    this.outdated = true;
  }

  /**
   * Milliseconds since the epoch, by the server; `fallback` until it has told its time.
   * A frame that took longer makes the offset smaller, so the largest one is the truest.
   */
  now(monotonic: number, fallback: number): number {
    return this.offsets.length === 0 ? fallback : monotonic + Math.max(...this.offsets);
  }
}
