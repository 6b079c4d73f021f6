/**
 * Readers of untrusted JSON. Each returns a checked value or throws a ReadError that names the field;
 * a list keeps its good entries and reports the bad ones.
 */

import { ALERT_STATES, COMMAND_STATES, STATES } from "./types";
import type {
  Alert,
  AlertState,
  Command,
  CommandState,
  Delivery,
  Gateway,
  Geofence,
  Hazard,
  Position,
  PresenceChange,
  PresenceEvent,
  PositionChange,
  Reading,
  Registration,
  Session,
  SignalInfo,
  State,
  TrackPoint,
  Value,
  Vehicle,
  VehicleEvent,
} from "./types";

export class ReadError extends Error {}

export type Json = Readonly<Record<string, unknown>>;
export type Problem = (reason: string) => void;

export function record(value: unknown, what: string): Json {
  if (typeof value !== "object" || value === null || Array.isArray(value)) throw new ReadError(`${what} is not an object`);
  return value as Json;
}

export function text(value: unknown, what: string): string {
  if (typeof value !== "string" || value === "") throw new ReadError(`${what} is not a text`);
  return value;
}

function optionalText(value: unknown): string | null {
  return typeof value === "string" && value !== "" ? value : null;
}

function number(value: unknown, what: string): number {
  if (typeof value !== "number" || !Number.isFinite(value)) throw new ReadError(`${what} is not a number`);
  return value;
}

function optionalNumber(value: unknown): number | null {
  return typeof value === "number" && Number.isFinite(value) ? value : null;
}

/** RFC 3339, or milliseconds since the epoch. */
export function instant(value: unknown, what: string): number {
  const ms = typeof value === "string" ? Date.parse(value) : value;
  if (typeof ms !== "number" || !Number.isFinite(ms)) throw new ReadError(`${what} is not a time`);
  return ms;
}

function optionalInstant(value: unknown, what: string): number | null {
  return value === null || value === undefined ? null : instant(value, what);
}

/** The good entries of a list; a bad one is reported and left out. */
export function list<T>(value: unknown, what: string, read: (entry: unknown) => T, problem: Problem): T[] {
  if (!Array.isArray(value)) throw new ReadError(`${what} is not a list`);
  const good: T[] = [];
  value.forEach((entry: unknown, index) => {
    try {
      good.push(read(entry));
    } catch (error) {
      if (!(error instanceof ReadError)) throw error;
      problem(`${what}[${index}]: ${error.message}`);
    }
  });
  return good;
}

function state(value: unknown): State {
  if (!(STATES as readonly unknown[]).includes(value)) throw new ReadError(`state ${JSON.stringify(value)} is unknown here`);
  return value as State;
}

function cursor(value: unknown): number {
  const count = typeof value === "string" ? Number(value) : value;
  return number(count ?? 0, "cursor");
}

export function registration(value: unknown): Registration {
  const row = record(value, "registration");
  return {
    state: state(row["state"]),
    reason: optionalText(row["reason"]) ?? "",
    since: optionalInstant(row["since"], "since"),
    evidence: row["evidence"] ? record(row["evidence"], "evidence") : {},
    deadline: optionalInstant(row["deadline"], "deadline"),
    epoch: optionalNumber(row["epoch"]),
    n: optionalNumber(row["n"]),
    region: optionalText(row["region"]),
    cell: optionalText(row["cell"]),
    address: optionalText(row["address"]),
    seenAddress: optionalText(row["seen_address"]),
    cursor: cursor(row["cursor"]),
  };
}

export function presenceEvent(value: unknown): PresenceEvent {
  const row = record(value, "presence event");
  const at = optionalInstant(row["at"], "at");
  return {
    ...registration({ ...row, since: row["since"] ?? row["at"] ?? null }),
    at,
    learnedAt: optionalInstant(row["learned_at"], "learned_at"),
  };
}

export function presenceChange(value: unknown): PresenceChange {
  const row = record(value, "presence change");
  const vehicle = text(row["vehicle"], "vehicle");
  return { vehicle, registration: row["state"] === null ? null : registration(row) };
}

export function position(value: unknown): Position {
  const row = record(value, "position");
  const lat = number(row["lat"], "lat");
  const lon = number(row["lon"], "lon");
  if (Math.abs(lat) > 90 || Math.abs(lon) > 180) throw new ReadError(`position ${lat}, ${lon} is not on Earth`);
  return {
    lat,
    lon,
    heading: optionalNumber(row["heading"]),
    speed: optionalNumber(row["speed"]),
    time: instant(row["time"], "time"),
  };
}

export function positionChange(value: unknown): PositionChange {
  const row = record(value, "position change");
  return { vehicle: text(row["vehicle"], "vehicle"), position: position(row) };
}

function signalValue(value: unknown): Value {
  if (value === null || typeof value === "number" || typeof value === "string" || typeof value === "boolean") return value;
  return Array.isArray(value) ? value.map(String) : JSON.stringify(value);
}

export function readings(value: unknown, problem: Problem): Record<string, Reading> {
  const result: Record<string, Reading> = {};
  if (value === null || value === undefined) return result;
  for (const [key, entry] of Object.entries(record(value, "latest"))) {
    try {
      const row = record(entry, key);
      result[key] = {
        value: signalValue(row["value"]),
        unit: optionalText(row["unit"]),
        time: instant(row["time"], `${key}.time`),
      };
    } catch (error) {
      if (!(error instanceof ReadError)) throw error;
      problem(error.message);
    }
  }
  return result;
}

export function vehicle(value: unknown, problem: Problem): Vehicle {
  const row = record(value, "vehicle");
  return {
    id: text(row["id"], "id"),
    registration: row["registration"] ? registration(row["registration"]) : null,
    latest: readings(row["latest"], problem),
    position: row["position"] ? position(row["position"]) : null,
  };
}

export function signalInfo(value: unknown): SignalInfo {
  const row = record(value, "signal");
  const key = text(row["key"], "key");
  return { key, vss: optionalText(row["vss"]), unit: optionalText(row["unit"]), label: optionalText(row["label"]) ?? key };
}

export function gateway(value: unknown): Gateway {
  const row = record(value, "region");
  return {
    region: text(row["region"], "region"),
    storing: typeof row["storing"] === "boolean" ? row["storing"] : null,
    lagSeconds: optionalNumber(row["lag_s"]),
    heartbeat: optionalInstant(row["heartbeat_at"], "heartbeat_at"),
    silent: row["silent"] === true,
  };
}

/** Numbers in a list of inclusive ranges. */
function inRanges(value: unknown): number {
  if (typeof value === "number") return value;
  if (!Array.isArray(value)) return 0;
  return value.reduce((sum: number, range: unknown) => {
    if (!Array.isArray(range)) throw new ReadError("a range is not a pair");
    return sum + number(range[1], "range end") - number(range[0], "range start") + 1;
  }, 0);
}

export function delivery(value: unknown): Delivery {
  const row = record(value, "delivery");
  const boots = list(row["boots"], "boots", (boot) => record(boot, "boot"), () => undefined);
  const sum = (key: string): number => boots.reduce((total, boot) => total + inRanges(boot[key]), 0);
  return {
    received: sum("received"),
    pending: sum("pending"),
    evicted: sum("evicted"),
    quarantined: sum("quarantined"),
    deadLettered: sum("dead_lettered"),
    duplicates: sum("duplicates"),
    late: sum("late"),
    unexplained: number(row["unexplained"], "unexplained"),
    boots: boots.length,
    corrected: sum("corrected"),
    flags: list(
      row["flags"] ?? [],
      "flags",
      (flag) => text(record(flag, "flag")["explanation"], "explanation"),
      () => undefined,
    ),
  };
}

function commandState(value: unknown): CommandState {
  if (!(COMMAND_STATES as readonly unknown[]).includes(value))
    throw new ReadError(`command state ${JSON.stringify(value)} is unknown here`);
  return value as CommandState;
}

export function command(value: unknown): Command {
  const row = record(value, "command");
  return {
    id: text(row["id"], "id"),
    name: text(row["name"], "name"),
    state: commandState(row["state"]),
    result: row["result"] ?? null,
    error: optionalText(row["error"]),
    createdBy: optionalText(row["created_by"]),
    created: instant(row["created_at"], "created_at"),
    updated: instant(row["updated_at"], "updated_at"),
    notAfter: instant(row["not_after"], "not_after"),
  };
}

export function vehicleEvent(value: unknown): VehicleEvent {
  const row = record(value, "event");
  return {
    boot: text(row["boot"], "boot"),
    seq: number(row["seq"], "seq"),
    time: instant(row["time"], "time"),
    kind: text(row["kind"], "kind"),
    data: record(row["data"], "data"),
  };
}

export function hazard(value: unknown): Hazard {
  const row = record(value, "hazard");
  const { lat, lon, heading } = position({ ...row, time: row["detected_at"] });
  return {
    id: number(row["id"], "id"),
    kind: text(row["kind"], "kind"),
    lat,
    lon,
    heading,
    detected: instant(row["detected_at"], "detected_at"),
    validUntil: instant(row["valid_until"], "valid_until"),
    ended: optionalInstant(row["ended_at"], "ended_at"),
    region: text(row["region"], "region"),
  };
}

export function geofence(value: unknown): Geofence {
  const row = record(value, "geofence");
  const shape = record(row["geometry"], "geometry");
  const { type, coordinates } = shape;
  const radius = optionalNumber(row["radius_m"]);
  if (!Array.isArray(coordinates)) throw new ReadError("coordinates is not a list");
  if (type !== "Polygon" && type !== "MultiPolygon" && !(type === "Point" && radius !== null)) {
    throw new ReadError(`geometry ${JSON.stringify(type)} is unknown here`);
  }
  // The server has checked the positions in it, thousands perhaps.
  const geometry = { type, coordinates } as Geofence["geometry"];
  return { id: number(row["id"], "id"), name: text(row["name"], "name"), geometry, radius };
}

export function alert(value: unknown): Alert {
  const row = record(value, "alert");
  const known: readonly unknown[] = ALERT_STATES;
  if (!known.includes(row["state"])) throw new ReadError(`state ${JSON.stringify(row["state"])} is unknown here`);
  return {
    id: number(row["id"], "id"),
    vehicle: text(row["vehicle"], "vehicle"),
    geofence: text(row["geofence"], "geofence"),
    kind: text(row["kind"], "kind"),
    at: instant(row["at"], "at"),
    state: row["state"] as AlertState,
    acknowledgedBy: optionalText(row["acknowledged_by"]),
  };
}

export function session(value: unknown): Session {
  const row = record(value, "session");
  return { name: text(row["name"], "name"), role: text(row["role"], "role") };
}

/** A raw reading `{"signals":{key:value}}` or a bucket `{"signals":{key:{"last":value}}}`. */
export function trackPoint(value: unknown): TrackPoint {
  const row = record(value, "reading");
  const values: Record<string, number> = {};
  for (const [key, entry] of Object.entries(record(row["signals"], "signals"))) {
    const plain = typeof entry === "object" && entry !== null ? (entry as Json)["last"] ?? (entry as Json)["avg"] : entry;
    if (typeof plain === "number" && Number.isFinite(plain)) values[key] = plain;
  }
  return { time: instant(row["time"], "time"), values };
}
