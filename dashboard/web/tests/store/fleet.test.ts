import { describe, expect, test } from "vitest";
import type { Frame } from "../../src/api/types";
import { EMPTY, currentReadings, measuredAt, merge, reduce, stateOf } from "../../src/store/fleet";
import type { Fleet } from "../../src/store/fleet";
import { T0, position, registration, vehicle } from "../build";

function snapshot(cursor: string, ...vehicles: ReturnType<typeof vehicle>[]): Frame {
  return { type: "snapshot", cursor, serverTime: null, vehicles };
}

function after(...frames: Frame[]): Fleet {
  return frames.reduce(reduce, EMPTY);
}

describe("snapshot and changes", () => {
  test("a snapshot is the fleet, a change is put on top, the cursor moves on", () => {
    const fleet = after(snapshot("c1", vehicle("a"), vehicle("b")), {
      type: "presence",
      cursor: "c2",
      changes: [{ vehicle: "b", registration: registration("suspect", 2, { reason: "lost" }) }],
    });
    expect(fleet.cursor).toBe("c2");
    expect([...fleet.vehicles.values()].map((v) => [v.id, stateOf(v)])).toEqual([
      ["a", "online"],
      ["b", "suspect"],
    ]);
  });

  test("a change with an older cursor is dropped and counted", () => {
    const fleet = after(snapshot("c9", vehicle("a", { registration: registration("offline", 9) })), {
      type: "presence",
      cursor: "c10",
      changes: [{ vehicle: "a", registration: registration("online", 8) }],
    });
    expect(stateOf(fleet.vehicles.get("a")!)).toBe("offline");
    expect(fleet.outdated).toBe(1);
  });

  test("the same cursor with another state is taken: a silent gateway makes unknown", () => {
    const fleet = after(snapshot("c9", vehicle("a", { registration: registration("online", 9) })), {
      type: "presence",
      cursor: "c9s",
      changes: [{ vehicle: "a", registration: registration("unknown", 9, { reason: "gateway" }) }],
    });
    expect(stateOf(fleet.vehicles.get("a")!)).toBe("unknown");
  });

  test("a vehicle that was not in the snapshot appears with its first change or position", () => {
    const fleet = after(
      snapshot("c1"),
      { type: "presence", cursor: "c2", changes: [{ vehicle: "new", registration: registration("online", 2) }] },
      { type: "positions", changes: [{ vehicle: "other", position: position(1) }] },
    );
    expect([...fleet.vehicles.keys()]).toEqual(["new", "other"]);
    expect(stateOf(fleet.vehicles.get("other")!)).toBe("unknown");
    expect(fleet.roster).toBe(3);
  });

  test("a vehicle that is no longer registered is unknown, not gone", () => {
    const fleet = after(snapshot("c1", vehicle("a")), {
      type: "presence",
      cursor: "c2",
      changes: [{ vehicle: "a", registration: null }],
    });
    expect(stateOf(fleet.vehicles.get("a")!)).toBe("unknown");
  });

  test("positions change neither the roster nor the frame before", () => {
    const before = after(snapshot("c1", vehicle("a")));
    const now = reduce(before, { type: "positions", changes: [{ vehicle: "a", position: position(5) }] });
    expect(now.roster).toBe(before.roster);
    expect(before.vehicles.get("a")!.position!.time).toBe(T0);
    expect(now.vehicles.get("a")!.position!.time).toBe(T0 + 5000);
  });

  test("a time frame moves the cursor where it has one", () => {
    const fleet = after(snapshot("c1"), { type: "time", serverTime: T0, cursor: "c5", lagSeconds: 0 });
    expect(fleet.cursor).toBe("c5");
    expect(reduce(fleet, { type: "time", serverTime: T0, cursor: null, lagSeconds: 0 }).cursor).toBe("c5");
  });
});

describe("an older position is never put over a newer one", () => {
  test("from the feed", () => {
    const fleet = after(
      snapshot("c1", vehicle("a", { position: position(10) })),
      { type: "positions", changes: [{ vehicle: "a", position: position(9, { lat: 1 }) }] },
      { type: "positions", changes: [{ vehicle: "a", position: position(11, { lat: 2 }) }] },
    );
    expect(fleet.vehicles.get("a")!.position!.lat).toBe(2);
    expect(fleet.outdated).toBe(1);
  });

  test("from a snapshot after a reconnection", () => {
    const fleet = after(
      snapshot("c1", vehicle("a")),
      { type: "positions", changes: [{ vehicle: "a", position: position(10) }] },
      snapshot("c2", vehicle("a", { position: position(4), registration: registration("suspect", 7) })),
    );
    expect(fleet.vehicles.get("a")!.position!.time).toBe(T0 + 10_000);
    expect(stateOf(fleet.vehicles.get("a")!)).toBe("suspect");
  });

  test("from the API, signal by signal", () => {
    const reading = (value: number, seconds: number) => ({ value, unit: "%", time: T0 + seconds * 1000 });
    const known = vehicle("a", { latest: { soc: reading(50, 9), rpm: reading(900, 1) } });
    const answer = vehicle("a", { latest: { soc: reading(51, 8), rpm: reading(950, 2) } });
    const fleet = merge(after(snapshot("c1", known)), answer);
    expect(fleet.vehicles.get("a")!.latest["soc"]!.value).toBe(50);
    expect(fleet.vehicles.get("a")!.latest["rpm"]!.value).toBe(950);
  });
});

describe("a reconnection", () => {
  test("a new snapshot takes away who is gone and may lower cursors: the database was restored", () => {
    const fleet = after(
      snapshot("c90", vehicle("a", { registration: registration("offline", 90) }), vehicle("gone")),
      snapshot("other-1", vehicle("a", { registration: registration("online", 2) })),
    );
    expect([...fleet.vehicles.keys()]).toEqual(["a"]);
    expect(stateOf(fleet.vehicles.get("a")!)).toBe("online");
    expect(fleet.cursor).toBe("other-1");
  });

  test("changes since the cursor merge into what was known", () => {
    const fleet = after(snapshot("c1", vehicle("a"), vehicle("b")), {
      type: "presence",
      cursor: "c3",
      changes: [
        { vehicle: "a", registration: registration("suspect", 2) },
        { vehicle: "a", registration: registration("offline", 3) },
      ],
    });
    expect(stateOf(fleet.vehicles.get("a")!)).toBe("offline");
    expect(stateOf(fleet.vehicles.get("b")!)).toBe("online");
  });

  test("an answer of the API that was on its way does not undo a change", () => {
    const before = after(snapshot("c5", vehicle("a", { registration: registration("suspect", 5) })));
    const fleet = merge(before, vehicle("a", { registration: registration("online", 4) }));
    expect(stateOf(fleet.vehicles.get("a")!)).toBe("suspect");
    expect(fleet.roster).toBe(before.roster);
  });

  test("an answer with the same cursor brings a later deadline", () => {
    const before = after(snapshot("c5", vehicle("a", { registration: registration("online", 5, { deadline: 1 }) })));
    const fleet = merge(before, vehicle("a", { registration: registration("online", 5, { deadline: 2 }) }));
    expect(fleet.vehicles.get("a")!.registration!.deadline).toBe(2);
  });
});

test("a position that is newer than its readings replaces them", () => {
  const reading = (value: number, seconds: number) => ({ value, unit: "u", time: T0 + seconds * 1000 });
  const latest = { lat: reading(1, 4), speed: reading(9, 6), soc: reading(50, 1) };
  const current = currentReadings(vehicle("a", { latest, position: position(5) }));
  expect(current).toEqual({ lat: { ...reading(60.17, 5) }, speed: reading(9, 6), soc: reading(50, 1) });
  expect(currentReadings(vehicle("a", { latest, position: null }))).toBe(latest);
});

test("measuredAt is the newest of position and readings", () => {
  const reading = { value: 1, unit: null, time: T0 + 9000 };
  expect(measuredAt(vehicle("a", { position: position(3), latest: { soc: reading } }))).toBe(T0 + 9000);
  expect(measuredAt(vehicle("a", { position: position(30), latest: { soc: reading } }))).toBe(T0 + 30_000);
  expect(measuredAt(vehicle("a", { position: null }))).toBeNull();
});
