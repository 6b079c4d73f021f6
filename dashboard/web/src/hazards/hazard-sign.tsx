import type { JSX } from "preact";
import { HAZARD_SIGN } from "../ui/shapes";

/** The warning triangle, as on the map. */
export function HazardSign({ size }: { size: number }): JSX.Element {
  return (
    <svg viewBox="0 0 24 24" width={size} height={size} aria-hidden="true" class="hazard-sign">
      <path class="hazard-plate" d={HAZARD_SIGN.plate} />
      <path class="hazard-mark" d={HAZARD_SIGN.mark} />
    </svg>
  );
}
