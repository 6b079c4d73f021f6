/** Short ways to make what tests need. */

import type { Position, Registration, State, Vehicle } from "../src/api/types";

export const T0 = Date.parse("2026-11-20T10:00:00Z");

export function position(seconds: number, more: Partial<Position> = {}): Position {
  return { lat: 60.17, lon: 24.94, heading: 90, speed: 30, time: T0 + seconds * 1000, ...more };
}

export function registration(state: State, cursor: number, more: Partial<Registration> = {}): Registration {
  return {
    state,
    reason: "attach",
    since: T0,
    evidence: {},
    deadline: null,
    epoch: 1,
    n: 1,
    region: "helsinki",
    cell: null,
    address: null,
    seenAddress: null,
    cursor,
    ...more,
  };
}

export function vehicle(id: string, more: Partial<Vehicle> = {}): Vehicle {
  return { id, registration: registration("online", 1), latest: {}, position: position(0), ...more };
}
