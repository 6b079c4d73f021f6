import type { JSX } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { useModel } from "../app/model";
import { plural } from "../ui/format";
import { Notices } from "../ui/notices";
import { HazardSign } from "./hazard-sign";
import { type ShownHazard, hazardTimes, hazardWord, shownAt } from "./hazards";

/** What vehicles warn each other of: a count over the map, and the list behind it. */
export function HazardList(): JSX.Element | null {
  const model = useModel();
  const hazards = model.hazards.value;
  const shown = shownAt(hazards ?? [], model.now.value);
  const holding = shown.filter(({ over }) => !over).length;
  if (hazards === null) return null;
  return (
    <Notices
      noun="hazard"
      icon={<HazardSign size={18} />}
      count={holding}
      label={`${plural(holding, "hazard")} now`}
      open={model.hazardsOpen.value}
      onOpen={() => (model.hazardsOpen.value = true)}
      onClose={() => {
        model.hazardsOpen.value = false;
        model.hazard.value = null;
      }}
    >
      {shown.length === 0 ? <p class="muted">No vehicle warns of anything now.</p> : <Rows shown={shown} />}
    </Notices>
  );
}

function Rows({ shown }: { shown: readonly ShownHazard[] }): JSX.Element {
  const model = useModel();
  const list = useRef<HTMLUListElement>(null);
  const chosen = model.hazard.value;

  // chosen on the map: the list goes there too
  useEffect(() => {
    if (chosen !== null) list.current?.querySelector("[aria-current=true]")?.scrollIntoView({ block: "nearest" });
  }, [chosen]);

  return (
    <ul ref={list}>
      {shown.map((one) => (
        <li key={one.hazard.id}>
          <button
            type="button"
            class={one.over ? "hazard-row over" : "hazard-row"}
            aria-current={one.hazard.id === chosen}
            data-hazard={one.hazard.kind}
            onClick={() => model.showHazard(one.hazard.id)}
          >
            <HazardSign size={20} />
            <b>{hazardWord(one.hazard.kind)}</b>
            <small class="num">{hazardTimes(one, model.now.value)}</small>
          </button>
        </li>
      ))}
    </ul>
  );
}
