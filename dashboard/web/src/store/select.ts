/** Questions to the fleet: who is to be listed, and how many there are of each state. Pure. */

import { STATES } from "../api/types";
import type { State } from "../api/types";
import { stateOf } from "./fleet";
import type { Fleet } from "./fleet";

export interface Filter {
  readonly text: string;
  /** Empty: all of them. */
  readonly states: ReadonlySet<State>;
}

export const NO_FILTER: Filter = { text: "", states: new Set() };

export type Counts = Readonly<Record<State, number>>;

const byName = new Intl.Collator("en", { numeric: true, sensitivity: "base" });

/** Ids in the order of the list: by state (suspects first), then by name, numbers by their value. */
export function listed(fleet: Fleet, filter: Filter): string[] {
  const wanted = filter.text.trim().toLowerCase();
  const groups = new Map<State, string[]>(STATES.map((state) => [state, []]));
  for (const vehicle of fleet.vehicles.values()) {
    const state = stateOf(vehicle);
    if (filter.states.size > 0 && !filter.states.has(state)) continue;
    if (wanted && !haystack(vehicle.id, vehicle.registration?.region, vehicle.registration?.reason).includes(wanted)) continue;
    groups.get(state)?.push(vehicle.id);
  }
  return [...groups.values()].flatMap((ids) => ids.sort(byName.compare));
}

export function counts(fleet: Fleet): Counts {
  const result = { suspect: 0, unknown: 0, online: 0, asleep: 0, offline: 0 };
  for (const vehicle of fleet.vehicles.values()) result[stateOf(vehicle)] += 1;
  return result;
}

export function toggled(filter: Filter, state: State): Filter {
  const states = new Set(filter.states);
  if (!states.delete(state)) states.add(state);
  return { ...filter, states };
}

/** What a screen reader is told of the states that changed between two looks; null for nothing. */
export function announcement(before: Fleet, after: Fleet): string | null {
  const changed: { id: string; state: State }[] = [];
  for (const vehicle of after.vehicles.values()) {
    const old = before.vehicles.get(vehicle.id);
    const state = stateOf(vehicle);
    if (old && stateOf(old) !== state) changed.push({ id: vehicle.id, state });
  }
  if (changed.length === 0) return null;
  if (changed.length <= 3) return changed.map(({ id, state }) => `${id} is ${state}`).join(", ");
  const parts = STATES.map((state) => ({ state, n: changed.filter((change) => change.state === state).length }));
  const words = parts.filter(({ n }) => n > 0).map(({ state, n }) => `${n} ${state}`);
  return `${changed.length} vehicles changed: ${words.join(", ")}`;
}

function haystack(...parts: (string | null | undefined)[]): string {
  return parts.filter(Boolean).join("\n").toLowerCase();
}
