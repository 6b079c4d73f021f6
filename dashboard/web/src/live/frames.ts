/** From a WebSocket message to a checked frame. */

import * as read from "../api/read";
import type { Frame } from "../api/types";

/**
 * Reads one message. Bad entries are left out and reported; a type that this page does not know yields
 * null, so a newer server may add frames. Throws ReadError when the frame itself makes no sense.
 */
export function readFrame(message: string, problem: read.Problem): Frame | null {
  let json: unknown;
  try {
    json = JSON.parse(message);
  } catch {
    throw new read.ReadError("a frame is not JSON");
  }
  const frame = read.record(json, "frame");
  switch (frame["type"]) {
    case "snapshot":
      return {
        type: "snapshot",
        cursor: opaque(frame["cursor"]),
        serverTime: frame["server_time"] === undefined ? null : read.instant(frame["server_time"], "server_time"),
        vehicles: read.list(frame["vehicles"], "vehicles", (entry) => read.vehicle(entry, problem), problem),
      };
    case "presence":
      return {
        type: "presence",
        cursor: opaque(frame["cursor"]),
        changes: read.list(frame["changes"], "changes", read.presenceChange, problem),
      };
    case "positions":
      return { type: "positions", changes: read.list(frame["changes"], "changes", read.positionChange, problem) };
    case "time":
      return {
        type: "time",
        serverTime: read.instant(frame["server_time"], "server_time"),
        cursor: frame["cursor"] === undefined || frame["cursor"] === null ? null : opaque(frame["cursor"]),
        lagSeconds: typeof frame["lag_s"] === "number" ? frame["lag_s"] : 0,
      };
    default:
      return null;
  }
}

/** A cursor is the server's business: kept as it came. */
function opaque(value: unknown): string {
  return typeof value === "number" ? String(value) : read.text(value, "cursor");
}
