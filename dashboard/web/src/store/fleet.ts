/**
 * What the page knows of the fleet: a pure reducer over live frames.
 *
 * Two rules keep the view true. A registration never goes back to a lower cursor, and a position or a
 * reading never goes back to an older measurement. (The same cursor may come again with another state:
 * the server shows the vehicles of a silent gateway as unknown without touching the register.) Only a
 * snapshot may take a vehicle away, or lower a cursor: it comes first, and again after a restored database,
 * whose cursors start anew.
 */

import type { Frame, Position, PositionChange, PresenceChange, Reading, State, Vehicle } from "../api/types";

export interface Fleet {
  readonly vehicles: ReadonlyMap<string, Vehicle>;
  /** Where to resume; null before the first snapshot. */
  readonly cursor: string | null;
  /** Counts the frames that changed who is there or in which state: what sorting and counting depend on. */
  readonly roster: number;
  /** Positions that came older than the one known, and changes with an old cursor: dropped. */
  readonly outdated: number;
}

export const EMPTY: Fleet = { vehicles: new Map(), cursor: null, roster: 0, outdated: 0 };

export function reduce(fleet: Fleet, frame: Frame): Fleet {
  switch (frame.type) {
    case "snapshot":
      return snapshot(fleet, frame.cursor, frame.vehicles);
    case "presence":
      return presence(fleet, frame.cursor, frame.changes);
    case "positions":
      return positions(fleet, frame.changes);
    case "time":
      return frame.cursor === null ? fleet : { ...fleet, cursor: frame.cursor };
  }
}

/** A vehicle without a registration has never been heard of: unknown. */
export function stateOf(vehicle: Vehicle): State {
  return vehicle.registration?.state ?? "unknown";
}

/** When the newest thing that is known of a vehicle was measured, null when nothing ever was. */
export function measuredAt(vehicle: Vehicle): number | null {
  let newest = vehicle.position?.time ?? null;
  for (const reading of Object.values(vehicle.latest)) {
    if (newest === null || reading.time > newest) newest = reading.time;
  }
  return newest;
}

/** The latest readings, those of a position taken from the newest position, which the feed brings sooner. */
export function currentReadings(vehicle: Vehicle): Readonly<Record<string, Reading>> {
  const { latest, position } = vehicle;
  if (position === null) return latest;
  const current: Record<string, Reading> = { ...latest };
  for (const key of ["lat", "lon", "heading", "speed"] as const) {
    const reading = latest[key];
    const value = position[key];
    if (reading && value !== null && position.time > reading.time) current[key] = { ...reading, value, time: position.time };
  }
  return current;
}

/** Puts in what the API said of one vehicle, under the same rules as the live feed. */
export function merge(fleet: Fleet, vehicle: Vehicle): Fleet {
  const known = fleet.vehicles.get(vehicle.id);
  const registration =
    known?.registration && (!vehicle.registration || vehicle.registration.cursor < known.registration.cursor)
      ? known.registration
      : vehicle.registration;
  const vehicles = new Map(fleet.vehicles);
  vehicles.set(vehicle.id, { ...newerParts(known, vehicle), registration });
  const sameState = known !== undefined && known.registration?.state === registration?.state;
  return { ...fleet, vehicles, roster: fleet.roster + (sameState ? 0 : 1) };
}

function snapshot(fleet: Fleet, cursor: string, rows: readonly Vehicle[]): Fleet {
  const vehicles = new Map<string, Vehicle>();
  for (const row of rows) vehicles.set(row.id, newerParts(fleet.vehicles.get(row.id), row));
  return { ...fleet, vehicles, cursor, roster: fleet.roster + 1 };
}

function presence(fleet: Fleet, cursor: string, changes: readonly PresenceChange[]): Fleet {
  const vehicles = new Map(fleet.vehicles);
  let outdated = fleet.outdated;
  for (const change of changes) {
    const known = vehicles.get(change.vehicle);
    if (known?.registration && change.registration && change.registration.cursor < known.registration.cursor) {
      outdated += 1;
      continue;
    }
    vehicles.set(change.vehicle, { ...(known ?? blank(change.vehicle)), registration: change.registration });
  }
  return { vehicles, cursor, outdated, roster: fleet.roster + 1 };
}

function positions(fleet: Fleet, changes: readonly PositionChange[]): Fleet {
  const vehicles = new Map(fleet.vehicles);
  let outdated = fleet.outdated;
  let appeared = 0;
  for (const { vehicle, position } of changes) {
    const known = vehicles.get(vehicle);
    if (known?.position && position.time < known.position.time) {
      outdated += 1;
      continue;
    }
    if (known === undefined) appeared = 1;
    vehicles.set(vehicle, { ...(known ?? blank(vehicle)), position });
  }
  return { ...fleet, vehicles, outdated, roster: fleet.roster + appeared };
}

function blank(id: string): Vehicle {
  return { id, registration: null, latest: {}, position: null };
}

/** `row`, but with the newer of both positions and readings. */
function newerParts(known: Vehicle | undefined, row: Vehicle): Vehicle {
  if (known === undefined) return row;
  const latest: Record<string, Reading> = { ...row.latest };
  for (const [key, reading] of Object.entries(known.latest)) {
    const other = latest[key];
    if (other === undefined || other.time < reading.time) latest[key] = reading;
  }
  return { ...row, latest, position: newer(known.position, row.position) };
}

function newer(a: Position | null, b: Position | null): Position | null {
  if (a === null || b === null) return a ?? b;
  return b.time >= a.time ? b : a;
}
