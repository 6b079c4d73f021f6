import { expect, test } from "vitest";
import type { State } from "../../src/api/types";
import { EMPTY, reduce } from "../../src/store/fleet";
import type { Fleet } from "../../src/store/fleet";
import { NO_FILTER, announcement, counts, listed, toggled } from "../../src/store/select";
import { registration, vehicle } from "../build";

function fleetOf(...rows: [id: string, state: State | null][]): Fleet {
  const vehicles = rows.map(([id, state]) =>
    vehicle(id, { registration: state === null ? null : registration(state, 1, { reason: `because-${state}` }) }),
  );
  return reduce(EMPTY, { type: "snapshot", cursor: "c", serverTime: null, vehicles });
}

const FLEET = fleetOf(["bus-10", "online"], ["bus-9", "online"], ["cab", "offline"], ["van", "suspect"], ["new", null]);

test("suspects first, then by name with numbers by value", () => {
  expect(listed(FLEET, NO_FILTER)).toEqual(["van", "new", "bus-9", "bus-10", "cab"]);
});

test("filters by state and by text in name, region or reason", () => {
  expect(listed(FLEET, { text: "", states: new Set<State>(["offline", "unknown"]) })).toEqual(["new", "cab"]);
  expect(listed(FLEET, { text: " BUS ", states: new Set() })).toEqual(["bus-9", "bus-10"]);
  expect(listed(FLEET, { text: "because-off", states: new Set() })).toEqual(["cab"]);
  expect(listed(FLEET, { text: "bus", states: new Set<State>(["suspect"]) })).toEqual([]);
});

test("toggles a state without touching the filter before", () => {
  const once = toggled(NO_FILTER, "online");
  expect([...once.states]).toEqual(["online"]);
  expect([...toggled(once, "online").states]).toEqual([]);
  expect(NO_FILTER.states.size).toBe(0);
});

test("counts every state, one never heard as unknown", () => {
  expect(counts(FLEET)).toEqual({ online: 2, suspect: 1, asleep: 0, offline: 1, unknown: 1 });
});

test("announces few by name, many by number, none not at all", () => {
  expect(announcement(FLEET, FLEET)).toBeNull();
  expect(announcement(fleetOf(["a", "online"]), fleetOf(["a", "suspect"]))).toBe("a is suspect");
  const ids = ["a", "b", "c", "d"];
  const before = fleetOf(...ids.map((id): [string, State] => [id, "online"]));
  const after = fleetOf(...ids.map((id): [string, State] => [id, id === "d" ? "suspect" : "offline"]));
  expect(announcement(before, after)).toBe("4 vehicles changed: 1 suspect, 3 offline");
});

test("lists ten thousand vehicles each once", () => {
  const many = fleetOf(...Array.from({ length: 10_000 }, (_, i): [string, State] => [`v${i}`, i % 2 ? "online" : "asleep"]));
  expect(new Set(listed(many, NO_FILTER)).size).toBe(10_000);
});
