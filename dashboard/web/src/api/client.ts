/** The HTTP API. Every address is relative to the page, so a path prefix of a proxy works. */

import * as read from "./read";
import type {
  Alert,
  Command,
  Delivery,
  Gateway,
  Geofence,
  Hazard,
  PresenceEvent,
  Session,
  SignalInfo,
  TrackPoint,
  Vehicle,
  VehicleEvent,
} from "./types";

/** An answer that is not a success; `message` is the server's own reason where it gave one. */
export class ApiError extends Error {
  constructor(
    readonly status: number,
    message: string,
  ) {
    super(message);
  }
}

export interface FleetHealth {
  readonly gateways: readonly Gateway[];
  readonly lagSeconds: number | null;
}

export type Credentials = { readonly key: string } | { readonly user: string; readonly password: string };

/** Rows a telemetry answer is read in, and how many such pages at most. */
const PAGE = 5000;
const PAGES = 4;

export class Api {
  /** Entries of answers that could not be read. */
  problems = 0;

  constructor(private readonly signedOut: () => void) {}

  private readonly problem: read.Problem = (reason) => {
    this.problems += 1;
    console.warn("left out an entry of an answer:", reason);
  };

  async fleet(): Promise<FleetHealth> {
    const answer = await this.get("fleet");
    const ingest = answer["ingest"] ? read.record(answer["ingest"], "ingest") : {};
    const lag = ingest["lag_s"];
    return {
      gateways: read.list(answer["regions"] ?? [], "regions", read.gateway, this.problem),
      lagSeconds: typeof lag === "number" ? lag : null,
    };
  }

  async signals(): Promise<SignalInfo[]> {
    return read.list((await this.get("signals"))["items"], "items", read.signalInfo, this.problem);
  }

  /** The road network as GeoJSON, or null where the server has none. */
  async roads(): Promise<GeoJSON.FeatureCollection | null> {
    try {
      const answer = await this.get("map/roads");
      return answer["type"] === "FeatureCollection" ? (answer as unknown as GeoJSON.FeatureCollection) : null;
    } catch (error) {
      if (error instanceof ApiError && error.status === 404) return null;
      throw error;
    }
  }

  async vehicle(id: string, signal: AbortSignal): Promise<Vehicle> {
    return read.vehicle(await this.get(`vehicles/${encodeURIComponent(id)}`, {}, signal), this.problem);
  }

  async presence(id: string, limit: number, signal: AbortSignal): Promise<PresenceEvent[]> {
    const answer = await this.get(`vehicles/${encodeURIComponent(id)}/presence`, { limit: String(limit) }, signal);
    const events = read.list(answer["items"], "items", read.presenceEvent, this.problem);
    return events.sort((a, b) => b.cursor - a.cursor).slice(0, limit);
  }

  async delivery(id: string, signal: AbortSignal): Promise<Delivery> {
    return read.delivery(await this.get(`vehicles/${encodeURIComponent(id)}/delivery`, {}, signal));
  }

  /** The newest first. */
  async events(id: string, limit: number, signal: AbortSignal): Promise<VehicleEvent[]> {
    const answer = await this.get("events", { vehicle: id, limit: String(limit) }, signal);
    return read.list(answer["items"], "items", read.vehicleEvent, this.problem);
  }

  /** Those that held at any time since then (a time, or an age such as "1m"), the last told first. */
  async hazards(since: string, limit: number): Promise<Hazard[]> {
    const answer = await this.get("hazards", { since, limit: String(limit) });
    return read.list(answer["items"], "items", read.hazard, this.problem);
  }

  /** All of them. */
  async geofences(): Promise<Geofence[]> {
    const found: Geofence[] = [];
    let cursor: string | null = null;
    do {
      const answer: read.Json = await this.get("geofences", { limit: "200", ...(cursor === null ? {} : { cursor }) });
      found.push(...read.list(answer["items"], "items", read.geofence, this.problem));
      cursor = typeof answer["next_cursor"] === "string" ? answer["next_cursor"] : null;
    } while (cursor !== null);
    return found;
  }

  /** Those that were raised since then (a time, or an age such as "1d"), the last raised first. */
  async alerts(since: string, limit: number): Promise<Alert[]> {
    const answer = await this.get("alerts", { since, limit: String(limit) });
    return read.list(answer["items"], "items", read.alert, this.problem);
  }

  /** Says that an alert is seen to; the alert as it is then. */
  async acknowledge(id: number): Promise<Alert> {
    return read.alert(await (await this.ask("POST", `alerts/${id}/acknowledge`)).json());
  }

  /** The newest first. */
  async commands(id: string, limit: number, signal: AbortSignal): Promise<Command[]> {
    const answer = await this.get("commands", { vehicle: id, limit: String(limit) }, signal);
    return read.list(answer["items"], "items", read.command, this.problem);
  }

  async command(id: string, name: string, args: Readonly<Record<string, unknown>>): Promise<void> {
    await this.ask("POST", `vehicles/${encodeURIComponent(id)}/commands`, { name, args });
  }

  async cancelCommand(id: string): Promise<void> {
    await this.ask("DELETE", `commands/${encodeURIComponent(id)}`);
  }

  /** Buckets of a few seconds each, oldest first. */
  async track(id: string, keys: readonly string[], since: number, until: number, signal: AbortSignal): Promise<TrackPoint[]> {
    const points: TrackPoint[] = [];
    let cursor: string | null = null;
    for (let page = 0; page < PAGES; page += 1) {
      const answer: read.Json = await this.get(
        `vehicles/${encodeURIComponent(id)}/telemetry`,
        {
          signals: keys.join(","),
          since: new Date(since).toISOString(),
          until: new Date(until).toISOString(),
          bucket: "2s",
          agg: "last",
          limit: String(PAGE),
          ...(cursor === null ? {} : { cursor }),
        },
        signal,
      );
      points.push(...read.list(answer["items"], "items", read.trackPoint, this.problem));
      cursor = typeof answer["next_cursor"] === "string" ? answer["next_cursor"] : null;
      if (cursor === null) break;
    }
    return points.sort((a, b) => a.time - b.time);
  }

  async session(): Promise<Session> {
    return read.session(await this.get("session"));
  }

  async signIn(credentials: Credentials): Promise<void> {
    await this.ask("POST", "session", credentials);
  }

  async signOut(): Promise<void> {
    await this.ask("DELETE", "session");
    this.signedOut();
  }

  private async get(path: string, query: Record<string, string> = {}, signal?: AbortSignal): Promise<read.Json> {
    const search = new URLSearchParams(query).toString();
    const answer = await fetch(`./api/v1/${path}${search && `?${search}`}`, {
      headers: { accept: "application/json" },
      credentials: "same-origin",
      ...(signal ? { signal } : {}),
    });
    if (answer.status === 401) this.signedOut();
    if (!answer.ok) throw await failure(answer);
    return read.record(await answer.json(), path);
  }

  private async ask(method: "POST" | "DELETE", path: string, body?: unknown): Promise<Response> {
    const answer = await fetch(`./api/v1/${path}`, {
      method,
      headers: { accept: "application/json", ...(body === undefined ? {} : { "content-type": "application/json" }) },
      credentials: "same-origin",
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    if (!answer.ok) throw await failure(answer);
    return answer;
  }
}

/** The reason of a problem document (RFC 9457), or else the status line. */
async function failure(answer: Response): Promise<ApiError> {
  let reason = `${answer.status} ${answer.statusText}`.trim();
  try {
    const problem = read.record(await answer.json(), "problem");
    const said = problem["detail"] ?? problem["title"];
    if (typeof said === "string") reason = said;
  } catch {
    // not a problem document: the status line has to do
  }
  return new ApiError(answer.status, reason);
}
