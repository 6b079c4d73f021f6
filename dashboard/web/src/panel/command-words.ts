/** What may be sent to a vehicle from the page, and what its commands' states mean in words. */

import type { CommandState } from "../api/types";

export interface Choice {
  readonly name: string;
  readonly label: string;
  /** Some take a number of seconds. */
  readonly seconds?: number;
}

export const CHOICES: readonly Choice[] = [
  { name: "ping", label: "Ping" },
  { name: "locate", label: "Locate" },
  { name: "lock", label: "Lock the doors" },
  { name: "unlock", label: "Unlock the doors" },
  { name: "sleep", label: "Sleep", seconds: 60 },
  { name: "wake", label: "Stay awake" },
  { name: "set_interval", label: "Update interval", seconds: 60 },
  { name: "reboot", label: "Restart the unit" },
];

const WORDS: Readonly<Record<CommandState, string>> = {
  queued: "waits until it can be reached",
  paged: "asked for a sign of life",
  sent: "sent",
  delivered: "accepted, under way",
  succeeded: "done",
  failed: "failed",
  expired: "too late",
  cancelled: "called off",
};

export function commandWords(state: CommandState): string {
  return WORDS[state];
}

/** Until it was sent it can be called off. */
export function canCancel(state: CommandState): boolean {
  return state === "queued" || state === "paged";
}

export function isUnderWay(state: CommandState): boolean {
  return canCancel(state) || state === "sent" || state === "delivered";
}

/** A result in one line: `locked true`, `lat 60.17, lon 24.94`. */
export function resultText(result: unknown): string {
  if (result === null || result === undefined) return "";
  if (typeof result !== "object") return String(result);
  return Object.entries(result)
    .map(([key, value]) => `${key.replaceAll("_", " ")} ${typeof value === "object" ? JSON.stringify(value) : String(value)}`)
    .join(", ");
}
