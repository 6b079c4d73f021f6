import type { JSX } from "preact";
import type { Registration, Vehicle } from "../api/types";
import { measuredAt, stateOf } from "../store/fleet";
import { StateSign } from "../ui/badge";
import { age, duration, speed } from "../ui/format";
import { STATE_WORDS, shortReason } from "../ui/words";

export const ROW_HEIGHT = 52;

interface Props {
  readonly vehicle: Vehicle;
  readonly now: number;
  readonly row: number;
  readonly count: number;
  readonly active: boolean;
  readonly selected: boolean;
  readonly onSelect: (id: string) => void;
}

export function rowId(id: string): string {
  return `row-${id}`;
}

export function VehicleRow({ vehicle, now, row, count, active, selected, onSelect }: Props): JSX.Element {
  const { registration, position } = vehicle;
  const state = stateOf(vehicle);
  const reason = registration ? shortReason(registration.reason) : "never heard";
  const newest = measuredAt(vehicle);
  const old = newest === null ? "no readings" : age(now - newest);
  const figure = state === "online" ? speed(position?.speed) : soon(registration, now);
  return (
    <div
      id={rowId(vehicle.id)}
      class={`row state-${state}${active ? " active" : ""}`}
      style={{ top: `${row * ROW_HEIGHT}px`, height: `${ROW_HEIGHT}px` }}
      role="option"
      aria-selected={selected}
      aria-setsize={count}
      aria-posinset={row + 1}
      data-vehicle={vehicle.id}
      data-state={state}
      data-reason={registration?.reason ?? ""}
      data-lat={position?.lat}
      data-lon={position?.lon}
      onClick={() => onSelect(vehicle.id)}
    >
      <StateSign state={state} size={22} />
      <span class="row-name">{vehicle.id}</span>
      <span class="row-figure">{figure}</span>
      <span class="row-why">
        <b>{STATE_WORDS[state]}</b> · {reason}
      </span>
      <span class="row-age" title="age of the newest reading">
        {newest !== null && <span class="hidden">newest reading </span>}
        {old}
      </span>
    </div>
  );
}

/** What a suspect has left, and when a sleeper should be back. */
function soon(registration: Registration | null, now: number): string {
  const deadline = registration?.deadline;
  if (!registration || deadline === null || deadline === undefined || deadline < now) return "";
  const left = deadline - now;
  if (registration.state === "suspect") return `offline in ${left < 60_000 ? duration(left) : age(left)}`;
  return registration.state === "asleep" ? `wakes in ${age(left)}` : "";
}
