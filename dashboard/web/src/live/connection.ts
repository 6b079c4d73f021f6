/**
 * The live feed over WebSocket: connects, resumes from the cursor, notices silence, reconnects.
 * What the frames mean is the store's business.
 */

import type { Frame } from "../api/types";
import { ReadError } from "../api/read";
import { backoff } from "./backoff";
import { readFrame } from "./frames";

/** The server sends a time frame at least every 10 s; longer silence than this is a dead link. */
export const SILENCE_MS = 15_000;
const ATTEMPTS_WITH_CURSOR = 4;

export type Link =
  | { readonly kind: "connecting" }
  | { readonly kind: "live" }
  /** `retryAt` and `lastHeard`: milliseconds of the monotonic clock */
  | { readonly kind: "waiting"; readonly reason: string; readonly retryAt: number }
  | { readonly kind: "signed-out" };

/** What the connection needs of the browser; a test gives its own. */
export interface Surroundings {
  open(url: string): WebSocket;
  monotonic(): number;
  random(): number;
  later(run: () => void, ms: number): number;
  cancel(timer: number): void;
  /** Whether the session is still good; asked when a connection failed before its first frame. */
  signedIn(): Promise<boolean>;
}

export interface Hooks {
  cursor(): string | null;
  opened(): void;
  frame(frame: Frame): void;
  problem(reason: string): void;
  link(link: Link): void;
}

export class LiveConnection {
  private socket: WebSocket | null = null;
  private timer: number | null = null;
  private attempt = 0;
  private heard = false;
  private stopped = true;
  lastHeard: number | null = null;

  constructor(
    private readonly address: URL,
    private readonly around: Surroundings,
    private readonly hooks: Hooks,
  ) {}

  start(): void {
    this.stopped = false;
    this.connect();
  }

  stop(): void {
    this.stopped = true;
    this.drop();
  }

  /** The network came back or the page is looked at again: do not sit out the backoff. */
  retryNow(): void {
    if (this.stopped || this.socket !== null) return;
    this.attempt = 0;
    this.connect();
  }

  private connect(): void {
    this.drop();
    this.heard = false;
    this.hooks.link({ kind: "connecting" });
    const url = new URL(this.address);
    // After a few refusals without it: another version of the server may not read this cursor.
    const cursor = this.attempt % ATTEMPTS_WITH_CURSOR < ATTEMPTS_WITH_CURSOR - 1 ? this.hooks.cursor() : null;
    if (cursor !== null) url.searchParams.set("cursor", cursor);
    const socket = this.around.open(url.href);
    this.socket = socket;
    socket.onopen = () => this.hooks.opened();
    socket.onmessage = (event: MessageEvent<unknown>) => this.receive(event.data);
    socket.onclose = (event: CloseEvent) => void this.lost(event.reason || "the connection closed");
    this.watchSilence();
  }

  private receive(data: unknown): void {
    this.lastHeard = this.around.monotonic();
    this.watchSilence();
    if (!this.heard) {
      this.heard = true;
      this.attempt = 0;
      this.hooks.link({ kind: "live" });
    }
    try {
      const frame = readFrame(String(data), this.hooks.problem);
      if (frame !== null) this.hooks.frame(frame);
    } catch (error) {
      if (!(error instanceof ReadError)) throw error;
      this.hooks.problem(error.message);
    }
  }

  private watchSilence(): void {
    if (this.timer !== null) this.around.cancel(this.timer);
    this.timer = this.around.later(() => void this.lost(`nothing heard for ${SILENCE_MS / 1000} s`), SILENCE_MS);
  }

  private async lost(reason: string): Promise<void> {
    if (this.stopped) return;
    const unheard = !this.heard;
    this.drop();
    const wait = backoff(this.attempt, () => this.around.random());
    this.attempt += 1;
    this.hooks.link({ kind: "waiting", reason, retryAt: this.around.monotonic() + wait });
    this.timer = this.around.later(() => this.connect(), wait);
    // A refused upgrade shows no status to the page, so ask over HTTP whether it was a 401.
    if (unheard && !(await this.around.signedIn()) && !this.stopped) {
      this.stop();
      this.hooks.link({ kind: "signed-out" });
    }
  }

  /** Forgets socket and timer; late events of the old socket reach nobody. */
  private drop(): void {
    if (this.timer !== null) this.around.cancel(this.timer);
    this.timer = null;
    if (this.socket === null) return;
    this.socket.onopen = this.socket.onmessage = this.socket.onclose = null;
    this.socket.close();
    this.socket = null;
  }
}
