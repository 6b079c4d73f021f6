import { describe, expect, test } from "vitest";
import {
  ReadError,
  delivery,
  gateway,
  hazard,
  presenceEvent,
  readings,
  signalInfo,
  trackPoint,
  vehicleEvent,
} from "../../src/api/read";

const quiet = (): void => undefined;

describe("answers of the API", () => {
  test("the ledger is summed over boots", () => {
    const boot = { pending: [], evicted: [], quarantined: [], dead_lettered: [], duplicates: 1, late: 2 };
    expect(
      delivery({
        unexplained: 0,
        flags: [{ kind: "shared_identity", explanation: "two units" }, { kind: "odd" }],
        boots: [
          { ...boot, received: [[1, 10], [12, 12]], evicted: [[11, 11]] },
          { ...boot, received: [[1, 5]], pending: [[6, 7]], corrected: [[2, 4]] },
        ],
      }),
    ).toEqual({
      received: 16,
      pending: 2,
      evicted: 1,
      quarantined: 0,
      deadLettered: 0,
      duplicates: 2,
      late: 4,
      unexplained: 0,
      boots: 2,
      corrected: 3,
      flags: ["two units"],
    });
  });

  test("unexplained is never made up", () => {
    expect(() => delivery({ boots: [] })).toThrow(ReadError);
  });

  test("readings and buckets are points alike", () => {
    const time = "2026-11-20T10:00:00Z";
    expect(trackPoint({ time, signals: { speed: 10, gear: null, rat: "5g" } }).values).toEqual({ speed: 10 });
    expect(trackPoint({ time, signals: { speed: { last: 10 }, soc: { last: null } } }).values).toEqual({ speed: 10 });
  });

  test("a presence event is since when it happened", () => {
    const event = presenceEvent({ at: "2026-11-20T10:00:00Z", state: "offline", reason: "lost", cursor: 3 });
    expect(event.at).toBe(event.since);
    expect(event).toMatchObject({ state: "offline", cursor: 3, evidence: {}, deadline: null });
  });

  test("a bad reading is left out and named", () => {
    const problems: string[] = [];
    const found = readings(
      { soc: { value: 1, unit: "%", time: 0 }, bad: { value: 1 }, odd: { value: { a: 1 }, unit: "", time: 0 } },
      (reason) => problems.push(reason),
    );
    expect(Object.keys(found)).toEqual(["soc", "odd"]);
    expect(found["odd"]).toEqual({ value: '{"a":1}', unit: null, time: 0 });
    expect(problems).toEqual(["bad.time is not a time"]);
    expect(readings(null, quiet)).toEqual({});
  });

  test("signals and gateways", () => {
    expect(signalInfo({ key: "soc", unit: "%", vss: "V.S", label: "Charge" }).label).toBe("Charge");
    expect(signalInfo({ key: "x" })).toEqual({ key: "x", vss: null, unit: null, label: "x" });
    expect(gateway({ region: "r", storing: true, silent: false, lag_s: null, heartbeat_at: "2026-11-20T10:00:00Z" })).toEqual({
      region: "r",
      storing: true,
      silent: false,
      lagSeconds: null,
      heartbeat: Date.parse("2026-11-20T10:00:00Z"),
    });
  });
});

describe("events and hazards", () => {
  const row = {
    id: 7,
    kind: "hard_braking",
    lat: 60.17,
    lon: 24.94,
    heading: null,
    detected_at: "2026-11-20T12:00:00Z",
    valid_until: "2026-11-20T12:00:02Z",
    ended_at: null,
    region: "helsinki",
  };

  test("are read with their times", () => {
    const warning = hazard(row);
    expect([warning.id, warning.validUntil - warning.detected, warning.ended]).toEqual([7, 2000, null]);
    const event = vehicleEvent({ boot: "ab", seq: 3, time: "2026-11-20T12:00:00Z", kind: "dtc", data: { code: "P0300" } });
    expect([event.kind, event.seq, event.data["code"]]).toEqual(["dtc", 3, "P0300"]);
  });

  test("are refused where they make no sense", () => {
    expect(() => hazard({ ...row, lat: 91 })).toThrow("not on Earth");
    expect(() => hazard({ ...row, valid_until: "soon" })).toThrow("valid_until is not a time");
    expect(() => vehicleEvent({ boot: "ab", seq: 3, time: 0, kind: "dtc", data: [] })).toThrow("data is not an object");
  });
});
