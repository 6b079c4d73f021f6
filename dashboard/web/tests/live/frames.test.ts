import { describe, expect, test } from "vitest";
import { ReadError } from "../../src/api/read";
import { readFrame } from "../../src/live/frames";

const quiet = (): void => undefined;

function read(frame: unknown, problems: string[] = []) {
  return readFrame(JSON.stringify(frame), (reason) => problems.push(reason));
}

const STATE = {
  state: "suspect",
  reason: "lost",
  since: "2026-11-20T10:00:00Z",
  evidence: { by: "will" },
  deadline: "2026-11-20T10:00:10.500Z",
  epoch: 7,
  n: null,
  region: "helsinki",
  cell: null,
  address: null,
  seen_address: "10.0.0.1",
  cursor: 42,
};

describe("frames as the server sends them", () => {
  test("snapshot", () => {
    const frame = read({
      type: "snapshot",
      cursor: "opaque",
      server_time: "2026-11-20T10:00:01Z",
      vehicles: [
        {
          id: "v1",
          registration: STATE,
          latest: { soc: { value: 71.5, unit: "%", time: "2026-11-20T10:00:00Z", age_s: 1 } },
          position: { lat: 1, lon: 2, heading: null, speed: 3, time: 1763632800000 },
        },
        { id: "v2", registration: null, latest: {}, position: null },
      ],
    });
    expect(frame).toMatchObject({ type: "snapshot", cursor: "opaque", serverTime: Date.parse("2026-11-20T10:00:01Z") });
    if (frame?.type !== "snapshot") throw new Error("not a snapshot");
    expect(frame.vehicles[0]!.registration).toMatchObject({ state: "suspect", cursor: 42, seenAddress: "10.0.0.1" });
    expect(frame.vehicles[0]!.registration!.deadline).toBe(Date.parse("2026-11-20T10:00:10.500Z"));
    expect(frame.vehicles[0]!.position!.time).toBe(1763632800000);
    expect(frame.vehicles[1]).toEqual({ id: "v2", registration: null, latest: {}, position: null });
  });

  test("presence, positions and time", () => {
    expect(read({ type: "presence", cursor: "c", changes: [{ vehicle: "v", ...STATE }] })).toMatchObject({
      changes: [{ vehicle: "v", registration: { state: "suspect", evidence: { by: "will" } } }],
    });
    expect(
      read({ type: "positions", changes: [{ vehicle: "v", lat: 1, lon: 2, heading: 3, speed: 4, time: "2026-11-20T10:00:00Z" }] }),
    ).toMatchObject({ changes: [{ vehicle: "v", position: { heading: 3 } }] });
    expect(read({ type: "time", server_time: "2026-11-20T10:00:00Z", lag_s: 2.5 })).toEqual({
      type: "time",
      serverTime: Date.parse("2026-11-20T10:00:00Z"),
      cursor: null,
      lagSeconds: 2.5,
    });
  });

  test("a type of a newer server is passed over", () => {
    expect(read({ type: "weather", rain: true })).toBeNull();
  });
});

describe("bad input", () => {
  test("a bad entry is reported with its place, the rest is kept", () => {
    const problems: string[] = [];
    const frame = read(
      {
        type: "positions",
        changes: [
          { vehicle: "a", lat: 91, lon: 0, time: 0 },
          { vehicle: "", lat: 0, lon: 0, time: 0 },
          { vehicle: "b", lat: 0, lon: 0, time: "yesterday" },
          { vehicle: "c", lat: 0, lon: 0, heading: null, speed: null, time: 0 },
        ],
      },
      problems,
    );
    expect(frame).toMatchObject({ changes: [{ vehicle: "c" }] });
    expect(problems).toEqual([
      "changes[0]: position 91, 0 is not on Earth",
      "changes[1]: vehicle is not a text",
      "changes[2]: time is not a time",
    ]);
  });

  test("a state of a newer server is reported, not shown as something else", () => {
    const problems: string[] = [];
    read({ type: "presence", cursor: "c", changes: [{ vehicle: "v", ...STATE, state: "flying" }] }, problems);
    expect(problems).toEqual(['changes[0]: state "flying" is unknown here']);
  });

  test.each(["{", "[]", "null", '{"type":"snapshot","vehicles":[]}', '{"type":"time","server_time":{}}'])(
    "%s is refused",
    (message) => expect(() => readFrame(message, quiet)).toThrow(ReadError),
  );
});
