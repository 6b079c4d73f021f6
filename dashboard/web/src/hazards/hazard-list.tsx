import type { JSX } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { useModel } from "../app/model";
import { grouped, plural } from "../ui/format";
import { HazardSign } from "./hazard-sign";
import { hazardTimes, hazardWord, shownAt } from "./hazards";

/** What vehicles warn each other of: a count over the map, and the list behind it. */
export function HazardList(): JSX.Element | null {
  const model = useModel();
  const box = useRef<HTMLDivElement>(null);
  const opener = useRef<HTMLButtonElement>(null);
  const open = model.hazardsOpen.value;
  const chosen = model.hazard.value;
  const now = model.now.value;
  const hazards = model.hazards.value;
  const shown = shownAt(hazards ?? [], now);
  const holding = shown.filter(({ over }) => !over).length;

  // chosen on the map: the list goes there too
  useEffect(() => {
    if (open && chosen !== null) box.current?.querySelector("[aria-current=true]")?.scrollIntoView({ block: "nearest" });
  }, [open, chosen]);

  const close = (): void => {
    model.hazardsOpen.value = false;
    model.hazard.value = null;
    opener.current?.focus();
  };

  if (hazards === null) return null;
  return (
    <div
      class="hazards"
      ref={box}
      onKeyDown={(event) => {
        if (event.key !== "Escape" || !open) return;
        event.preventDefault(); // the panel of a vehicle stays
        close();
      }}
    >
      <button
        type="button"
        class={holding === 0 ? "hazards-count none" : "hazards-count"}
        ref={opener}
        aria-expanded={open}
        aria-controls="hazard-list"
        data-hazards={holding}
        onClick={() => (open ? close() : (model.hazardsOpen.value = true))}
      >
        <HazardSign size={18} />
        <b>{grouped(holding)}</b>
        <span>{holding === 1 ? "hazard" : "hazards"}</span>
      </button>
      {open && (
        <section class="hazards-box" id="hazard-list" aria-label={`${plural(holding, "hazard")} now`}>
          {shown.length === 0 ? (
            <p class="muted">No vehicle warns of anything now.</p>
          ) : (
            <ul>
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
                    <small class="num">{hazardTimes(one, now)}</small>
                  </button>
                </li>
              ))}
            </ul>
          )}
        </section>
      )}
    </div>
  );
}
