import { beforeEach, describe, expect, test } from "vitest";
import type { Frame } from "../../src/api/types";
import { LiveConnection, SILENCE_MS } from "../../src/live/connection";
import type { Link } from "../../src/live/connection";

/** A socket that the test drives by hand. */
class Socket {
  onopen: (() => void) | null = null;
  onmessage: ((event: { data: string }) => void) | null = null;
  onclose: ((event: { reason: string }) => void) | null = null;
  closed = false;
  constructor(readonly url: string) {}
  close(): void {
    this.closed = true;
  }
  say(frame: unknown): void {
    this.onmessage?.({ data: JSON.stringify(frame) });
  }
}

const TIME = { type: "time", server_time: "2026-11-20T10:00:00Z" };

let now: number;
let timers: Map<number, { at: number; run: () => void }>;
let sockets: Socket[];
let links: Link[];
let frames: Frame[];
let problems: string[];
let cursor: string | null;
let signedIn: boolean;
let connection: LiveConnection;

/** Lets the clock run; timers fire in their order. */
function advance(ms: number): void {
  const end = now + ms;
  for (;;) {
    const next = [...timers].sort(([, a], [, b]) => a.at - b.at).find(([, { at }]) => at <= end);
    if (next === undefined) break;
    timers.delete(next[0]);
    now = next[1].at;
    next[1].run();
  }
  now = end;
}

const last = (): Socket => sockets.at(-1)!;

beforeEach(() => {
  now = 0;
  timers = new Map();
  sockets = [];
  links = [];
  frames = [];
  problems = [];
  cursor = null;
  signedIn = true;
  let count = 0;
  connection = new LiveConnection(
    new URL("ws://fleet.test/api/v1/live"),
    {
      open: (url) => {
        const socket = new Socket(url);
        sockets.push(socket);
        return socket as unknown as WebSocket;
      },
      monotonic: () => now,
      random: () => 1,
      later: (run, ms) => {
        count += 1;
        timers.set(count, { at: now + ms, run });
        return count;
      },
      cancel: (timer) => void timers.delete(timer),
      signedIn: () => Promise.resolve(signedIn),
    },
    {
      cursor: () => cursor,
      opened: () => undefined,
      frame: (frame) => frames.push(frame),
      problem: (reason) => problems.push(reason),
      link: (link) => links.push(link),
    },
  );
});

describe("a live connection", () => {
  test("is live with the first frame and hands frames on", () => {
    connection.start();
    expect(links.map(({ kind }) => kind)).toEqual(["connecting"]);
    last().say(TIME);
    expect(links.at(-1)).toEqual({ kind: "live" });
    expect(frames.map(({ type }) => type)).toEqual(["time"]);
  });

  test("resumes from the cursor after the link broke", () => {
    connection.start();
    expect(last().url).toBe("ws://fleet.test/api/v1/live");
    last().say(TIME);
    cursor = "abc+/=";
    last().onclose?.({ reason: "" });
    expect(links.at(-1)).toEqual({ kind: "waiting", reason: "the connection closed", retryAt: now + 500 });
    advance(500);
    expect(new URL(last().url).searchParams.get("cursor")).toBe("abc+/=");
  });

  test("says so and reconnects when nothing is heard for 15 s", () => {
    connection.start();
    last().say(TIME);
    advance(SILENCE_MS - 1);
    last().say(TIME);
    advance(SILENCE_MS - 1);
    expect(links.at(-1)?.kind).toBe("live");
    const silent = last();
    advance(1);
    expect(links.at(-1)).toMatchObject({ kind: "waiting", reason: "nothing heard for 15 s" });
    expect(silent.closed).toBe(true);
    advance(500);
    expect(sockets).toHaveLength(2);
  });

  test("backs off further with each failure, and starts over after a success", () => {
    connection.start();
    const waits: number[] = [];
    for (let i = 0; i < 4; i += 1) {
      last().onclose?.({ reason: "" });
      const link = links.at(-1);
      if (link?.kind !== "waiting") throw new Error("not waiting");
      waits.push(link.retryAt - now);
      advance(link.retryAt - now);
    }
    expect(waits).toEqual([500, 1000, 2000, 4000]);
    last().say(TIME);
    last().onclose?.({ reason: "" });
    expect(links.at(-1)).toMatchObject({ retryAt: now + 500 });
  });

  test("starts anew when a server refuses the cursor again and again", () => {
    cursor = "old";
    connection.start();
    for (let i = 0; i < 3; i += 1) {
      expect(last().url).toContain("cursor=old");
      last().onclose?.({ reason: "" });
      advance(15_000);
    }
    expect(last().url).not.toContain("cursor");
  });

  test("a late event of an old socket reaches nobody", () => {
    connection.start();
    const old = last();
    const late = old.onmessage;
    old.onclose?.({ reason: "" });
    expect(old.onmessage).toBeNull();
    expect(late).not.toBeNull();
    advance(500);
    expect(sockets).toHaveLength(2);
  });

  test("does not sit out the backoff when the network is back", () => {
    connection.start();
    last().onclose?.({ reason: "" });
    connection.retryNow();
    expect(sockets).toHaveLength(2);
    connection.retryNow();
    expect(sockets).toHaveLength(2);
    advance(10_000);
    expect(sockets).toHaveLength(2);
  });

  test("a refused connection of a signed-out browser ends in sign-in", async () => {
    signedIn = false;
    connection.start();
    last().onclose?.({ reason: "" });
    await Promise.resolve();
    await Promise.resolve();
    expect(links.at(-1)).toEqual({ kind: "signed-out" });
    advance(60_000);
    expect(sockets).toHaveLength(1);
  });

  test("reports a frame that makes no sense and stays live", () => {
    connection.start();
    last().onmessage?.({ data: "{" });
    last().say({ type: "snapshot" });
    expect(problems).toEqual(["a frame is not JSON", "cursor is not a text"]);
    expect(links.at(-1)).toEqual({ kind: "live" });
  });

  test("stops for good", () => {
    connection.start();
    connection.stop();
    expect(last().closed).toBe(true);
    advance(60_000);
    connection.retryNow();
    expect(sockets).toHaveLength(1);
  });
});
