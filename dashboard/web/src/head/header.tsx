import type { JSX } from "preact";
import { useModel } from "../app/model";
import { STATES } from "../api/types";
import type { State } from "../api/types";
import { toggled } from "../store/select";
import { StateSign } from "../ui/badge";
import { grouped } from "../ui/format";
import { STATE_MEANING, STATE_WORDS } from "../ui/words";
import { Account } from "./account";
import { Gateways } from "./gateways";
import { LiveStatus } from "./live-status";
import { ThemeButton } from "./theme-button";

export function Header(): JSX.Element {
  return (
    <header class="head">
      <h1 class="brand">
        <svg viewBox="0 0 32 32" width="24" height="24" aria-hidden="true">
          <path d="M16 1.5 28.6 8.75v14.5L16 30.5 3.4 23.25V8.75Z" fill="var(--brand)" />
          <path d="M16 7 22.5 23 16 19.4 9.5 23Z" fill="#fff" />
        </svg>
        fleetcell
      </h1>
      <Chips />
      <div class="head-end">
        <Gateways />
        <LiveStatus />
        <ThemeButton />
        <Account />
      </div>
    </header>
  );
}

/** How many there are of each state; a click lists only those. */
function Chips(): JSX.Element {
  const model = useModel();
  const counts = model.counts.value;
  const { states } = model.filter.value;
  const total = STATES.reduce((sum, state) => sum + counts[state], 0);
  const chip = (state: State): JSX.Element => (
    <button
      key={state}
      type="button"
      class={`chip state-${state}${counts[state] === 0 ? " none" : ""}`}
      aria-pressed={states.has(state)}
      title={`${STATE_WORDS[state]}: ${STATE_MEANING[state]}`}
      data-state={state}
      data-count={counts[state]}
      onClick={() => (model.filter.value = toggled(model.filter.peek(), state))}
    >
      <StateSign state={state} size={15} />
      <b>{grouped(counts[state])}</b>
      <span>{STATE_WORDS[state].toLowerCase()}</span>
    </button>
  );
  return (
    <div class="chips" role="group" aria-label="Vehicles by state">
      <button
        type="button"
        class="chip all"
        aria-pressed={states.size === 0}
        title="All vehicles"
        data-count={total}
        onClick={() => (model.filter.value = { ...model.filter.peek(), states: new Set() })}
      >
        <b>{grouped(total)}</b>
        <span>{total === 1 ? "vehicle" : "vehicles"}</span>
      </button>
      {(["online", "suspect", "asleep", "offline", "unknown"] as const).map(chip)}
    </div>
  );
}
