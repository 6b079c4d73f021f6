/** What the server says, as the page keeps it: times are milliseconds since the epoch. */

export const STATES = ["suspect", "unknown", "online", "asleep", "offline"] as const;
/** Whether a vehicle can be reached; the order above is the order of the list. */
export type State = (typeof STATES)[number];

export type Value = number | string | boolean | null | readonly string[];

/** One row of the presence register: a state, why, since when, and what happens next. */
export interface Registration {
  readonly state: State;
  readonly reason: string;
  readonly since: number | null;
  readonly evidence: Readonly<Record<string, unknown>>;
  /** When the state changes if nothing is heard. */
  readonly deadline: number | null;
  readonly epoch: number | null;
  readonly n: number | null;
  readonly region: string | null;
  readonly cell: string | null;
  readonly address: string | null;
  readonly seenAddress: string | null;
  /** Counts the changes of the whole register: the higher one is the newer truth. */
  readonly cursor: number;
}

/** A change in the presence history. */
export interface PresenceEvent extends Registration {
  /** When the vehicle became so. */
  readonly at: number | null;
  /** When the register learned it. */
  readonly learnedAt: number | null;
}

export interface Position {
  readonly lat: number;
  readonly lon: number;
  /** Degrees clockwise from north. */
  readonly heading: number | null;
  /** km/h */
  readonly speed: number | null;
  /** When it was measured. */
  readonly time: number;
}

export interface Reading {
  readonly value: Value;
  readonly unit: string | null;
  readonly time: number;
}

export interface Vehicle {
  readonly id: string;
  readonly registration: Registration | null;
  readonly latest: Readonly<Record<string, Reading>>;
  readonly position: Position | null;
}

export interface PositionChange {
  readonly vehicle: string;
  readonly position: Position;
}

export interface PresenceChange {
  readonly vehicle: string;
  /** null: no longer registered anywhere */
  readonly registration: Registration | null;
}

export type Frame =
  | {
      readonly type: "snapshot";
      readonly cursor: string;
      readonly serverTime: number | null;
      readonly vehicles: readonly Vehicle[];
    }
  | { readonly type: "presence"; readonly cursor: string; readonly changes: readonly PresenceChange[] }
  | { readonly type: "positions"; readonly changes: readonly PositionChange[] }
  | {
      readonly type: "time";
      readonly serverTime: number;
      /** Given when nothing is waiting for this client: it stands there too. */
      readonly cursor: string | null;
      /** Seconds since the server last read presence from the database. */
      readonly lagSeconds: number;
    };

/** One row of the signal catalogue. */
export interface SignalInfo {
  readonly key: string;
  readonly vss: string | null;
  readonly unit: string | null;
  readonly label: string;
}

export interface Gateway {
  readonly region: string;
  readonly storing: boolean | null;
  /** Seconds between measured and stored, of the newest readings. */
  readonly lagSeconds: number | null;
  readonly heartbeat: number | null;
  /** Its heartbeat stopped: what it last said of its vehicles may no longer be so. */
  readonly silent: boolean;
}

export interface Delivery {
  readonly received: number;
  readonly pending: number;
  readonly evicted: number;
  readonly quarantined: number;
  readonly deadLettered: number;
  readonly duplicates: number;
  readonly late: number;
  readonly unexplained: number;
  readonly boots: number;
  /** Readings with a wrong clock that were dated in spite of it. */
  readonly corrected: number;
  /** What does not happen to a unit that keeps to the contract, in words. */
  readonly flags: readonly string[];
}

/** How far a command is; the last four are for good. */
export const COMMAND_STATES = [
  "queued",
  "paged",
  "sent",
  "delivered",
  "succeeded",
  "failed",
  "expired",
  "cancelled",
] as const;
export type CommandState = (typeof COMMAND_STATES)[number];

export interface Command {
  readonly id: string;
  readonly name: string;
  readonly state: CommandState;
  readonly result: unknown;
  readonly error: string | null;
  readonly createdBy: string | null;
  readonly created: number;
  readonly updated: number;
  readonly notAfter: number;
}

/** Something that a vehicle reported; `data` is whatever it said. */
export interface VehicleEvent {
  readonly boot: string;
  readonly seq: number;
  readonly time: number;
  readonly kind: string;
  readonly data: Readonly<Record<string, unknown>>;
}

/** What vehicles warned each other of. */
export interface Hazard {
  readonly id: number;
  readonly kind: string;
  readonly lat: number;
  readonly lon: number;
  /** Degrees clockwise from north, where it is told. */
  readonly heading: number | null;
  readonly detected: number;
  readonly validUntil: number;
  /** When somebody said that it is over. */
  readonly ended: number | null;
  readonly region: string;
}

/** An area that vehicles enter and leave. */
export interface Geofence {
  readonly id: number;
  readonly name: string;
  readonly geometry: GeoJSON.Polygon | GeoJSON.MultiPolygon | GeoJSON.Point;
  /** Metres, around a point. */
  readonly radius: number | null;
}

export const ALERT_STATES = ["open", "acknowledged", "corrected"] as const;
/** corrected: later readings say that it was not so. */
export type AlertState = (typeof ALERT_STATES)[number];

/** A vehicle entered or left a geofence, or stayed in it for long. */
export interface Alert {
  readonly id: number;
  readonly vehicle: string;
  readonly geofence: string;
  readonly kind: string;
  readonly at: number;
  readonly state: AlertState;
  readonly acknowledgedBy: string | null;
}

/** Who is signed in; a viewer may look, an operator may also command. */
export interface Session {
  readonly name: string;
  readonly role: string;
}

/** One point of the last half hour. */
export interface TrackPoint {
  readonly time: number;
  readonly values: Readonly<Record<string, number>>;
}
