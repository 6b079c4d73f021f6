/** Alerts in words. Pure. */

import type { Alert } from "../api/types";

/** As the API has it. */
export const ALERTS_SINCE = "1d";
export const MOST_ALERTS = 100;

const WORDS: Readonly<Record<string, string>> = { enter: "entered", exit: "left", dwell: "stays in" };

/** "entered depot"; a kind of a later version is named as it is. */
export function alertWords({ kind, geofence }: Alert): string {
  return `${WORDS[kind] ?? kind} ${geofence}`;
}

/** What became of it; nothing for one that is open. */
export function outcome({ state, acknowledgedBy }: Alert): string {
  if (state === "corrected") return "was not so";
  return state === "acknowledged" ? `seen to by ${acknowledgedBy ?? "somebody"}` : "";
}

export function openOnes(alerts: readonly Alert[]): number {
  return alerts.filter(({ state }) => state === "open").length;
}
