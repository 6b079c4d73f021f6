/** What vehicles report, in words. Pure. */

import type { VehicleEvent } from "../api/types";
import { grouped, signalText, speed } from "../ui/format";

const WORDS: Readonly<Record<string, string>> = {
  dtc: "Trouble code",
  harsh_brake: "Harsh braking",
  harsh_acceleration: "Harsh acceleration",
  crash: "Collision",
  hazard_heard: "Warning heard",
};

/** Characters of data that nobody here knows. */
const LONGEST = 80;

/** A unit may report kinds that are not known here: they are shown as they are. */
export function eventWord(kind: string): string {
  return WORDS[kind] ?? kind.replaceAll("_", " ");
}

/** The part of an event's data that matters, for one line; empty where there is none. */
export function eventDetail({ kind, data }: VehicleEvent): string {
  const acceleration = data["acceleration"];
  const at = data["speed"];
  switch (kind) {
    case "dtc":
      if (typeof data["code"] === "string") return `${data["code"]} ${data["active"] === false ? "cleared" : "appeared"}`;
      break;
    case "harsh_brake":
    case "harsh_acceleration":
      if (typeof acceleration === "number") {
        const force = `${signalText("acceleration", acceleration)} m/s²`;
        return typeof at === "number" ? `${force} at ${speed(at)}` : force;
      }
      break;
    case "hazard_heard":
      if (typeof data["distance"] === "number") return `${grouped(Math.round(data["distance"]))} m away`;
      break;
    case "crash":
      if (typeof data["delta_v"] === "number") return `speed changed by ${speed(data["delta_v"])}`;
      break;
  }
  const rest = Object.entries(data)
    .filter(([key]) => key !== "lat" && key !== "lon")
    .map(([key, value]) => `${key} ${typeof value === "string" ? value : JSON.stringify(value)}`)
    .join(", ");
  return rest.length > LONGEST ? `${rest.slice(0, LONGEST)}…` : rest;
}
