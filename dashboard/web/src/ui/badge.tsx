import type { JSX } from "preact";
import type { State } from "../api/types";
import { SHAPES } from "./shapes";
import type { Paint } from "./shapes";
import { STATE_MEANING, STATE_WORDS } from "./words";

const PAINT: Readonly<Record<Paint, string>> = { state: "currentColor", surface: "none", on: "var(--on-state)" };

/** The sign of a state; decorative, so a word or a label goes beside it. */
export function StateSign({ state, size = 16 }: { state: State; size?: number }): JSX.Element {
  return (
    <svg class={`sign state-${state}`} viewBox="0 0 24 24" width={size} height={size} aria-hidden="true">
      {SHAPES[state].map((stroke) => (
        <path
          key={stroke.d}
          d={stroke.d}
          fill={stroke.fill ? PAINT[stroke.fill] : "none"}
          stroke={stroke.line ? PAINT[stroke.line] : "none"}
          stroke-width={stroke.width ?? 0}
          stroke-dasharray={stroke.dash?.join(" ")}
          stroke-linecap="round"
          stroke-linejoin="round"
        />
      ))}
    </svg>
  );
}

/** Sign and word. */
export function StateBadge({ state }: { state: State }): JSX.Element {
  return (
    <span class={`badge state-${state}`} title={STATE_MEANING[state]}>
      <StateSign state={state} size={14} />
      {STATE_WORDS[state]}
    </span>
  );
}
