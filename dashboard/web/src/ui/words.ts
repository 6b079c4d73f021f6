/** What states and reasons mean, in words. */

import type { Registration, State } from "../api/types";

export const STATE_WORDS: Readonly<Record<State, string>> = {
  online: "Online",
  suspect: "Suspect",
  asleep: "Asleep",
  offline: "Offline",
  unknown: "Unknown",
};

export const STATE_MEANING: Readonly<Record<State, string>> = {
  online: "reachable now",
  suspect: "something was missed; offline soon if nothing is heard",
  asleep: "silent by agreement",
  offline: "cannot be reached",
  unknown: "nobody can tell yet",
};

/** Short, for a row of the list. */
const SHORT: Readonly<Record<string, string>> = {
  attach: "attached",
  update: "renewed",
  telemetry: "sends readings",
  woke: "woke up",
  lost: "link lost",
  overdue: "update overdue",
  timeout: "timed out",
  sleep: "sleeping by agreement",
  overslept: "overslept",
  shutdown: "shut down",
  detach: "signed off",
  handover: "changing region",
  "command response": "answered a command",
  replaced: "attached anew",
  revoked: "credential revoked",
  clock: "here, but its clock is wrong",
  flapping: "link flapping",
  gateway: "gateway cannot tell",
  new: "never heard",
};

/** A sentence, for the panel. */
const LONG: Readonly<Record<string, string>> = {
  attach: "It connected and registered.",
  update: "It renewed its registration in time.",
  telemetry: "Its readings are arriving, which is proof enough.",
  woke: "It woke up and registered again.",
  lost: "Link lost: the broker published its last will.",
  overdue: "Its registration update is overdue: nothing within the interval and the grace.",
  timeout: "Nothing was heard until the deadline (implicit detach).",
  sleep: "It said that it would sleep, so its silence is not an outage.",
  overslept: "It should have woken up by now and was not heard.",
  shutdown: "It signed off: a clean shutdown.",
  detach: "It signed off.",
  handover: "It is changing to another region; the new one has not reported it yet.",
  "command response": "It answered a command, which is proof enough.",
  replaced: "It attached anew although its session before had not ended; the newer one counts.",
  revoked: "An operator ended its credential; it may not connect any more.",
  clock: "It was heard, so it is there, but the time that it claims cannot be.",
  flapping: "Its link is lost again and again. It counts as one episode until the link holds.",
  gateway: "Its gateway was cut off, so nobody knows. It settles with the next sign of life.",
  new: "It was provisioned and has never been heard.",
};

export function shortReason(reason: string): string {
  return SHORT[reason] ?? reason;
}

export function longReason(reason: string): string {
  return LONG[reason] ?? (reason === "" ? "No reason was given." : `Reason: ${reason}.`);
}

/** What comes when the deadline passes in silence; null where nothing does. */
export function next(registration: Registration): { state: State; verb: string } | null {
  switch (registration.state) {
    case "online":
      return { state: "suspect", verb: "suspect" };
    case "suspect":
      return { state: "offline", verb: "offline" };
    case "asleep":
      return { state: "suspect", verb: "suspect" };
    case "unknown":
      return { state: "suspect", verb: "settled" };
    case "offline":
      return null;
  }
}

const EVIDENCE: Readonly<Record<string, string>> = {
  by: "shown by",
  epoch: "session epoch",
  n: "claim number",
  heard: "heard",
  measured: "said by the vehicle at",
  deadline: "deadline that passed",
  blind_until: "gateway blind until",
  last_heartbeat: "gateway's last heartbeat",
  registered: "last registered",
  kind: "kind",
};

export function evidenceLabel(key: string): string {
  return EVIDENCE[key] ?? key.replaceAll("_", " ");
}
