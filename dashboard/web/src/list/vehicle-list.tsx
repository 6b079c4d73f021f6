import type { JSX } from "preact";
import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import { useModel } from "../app/model";
import { NO_FILTER } from "../store/select";
import { plural } from "../ui/format";
import { ROW_HEIGHT, VehicleRow, rowId } from "./row";
import { Search } from "./search";
import { scrollTo, windowOf } from "./virtual";

/** All vehicles that the filter lets through; only the rows in view exist. */
export function VehicleList(): JSX.Element {
  const model = useModel();
  const box = useRef<HTMLDivElement>(null);
  const [view, setView] = useState({ top: 0, height: 800 });
  const [active, setActive] = useState<string | null>(null);
  const ids = model.ids.value;
  const fleet = model.shown.value;
  const now = model.now.value;
  const selected = model.selected.value;

  useLayoutEffect(() => {
    const element = box.current;
    if (element === null) return undefined;
    const measure = (): void => setView({ top: element.scrollTop, height: element.clientHeight });
    const observer = new ResizeObserver(measure);
    observer.observe(element);
    return () => observer.disconnect();
  }, []);

  const bringIntoView = (id: string): void => {
    const element = box.current;
    const row = model.ids.peek().indexOf(id);
    if (element === null || row < 0) return;
    const top = scrollTo(row, element.scrollTop, element.clientHeight, ROW_HEIGHT);
    if (top !== null) element.scrollTop = top;
  };

  // selected on the map: the list goes there too
  useEffect(() => {
    if (selected === null) return;
    setActive(selected);
    bringIntoView(selected);
  }, [selected]);

  const onKeyDown = (event: KeyboardEvent): void => {
    const row = active === null ? -1 : ids.indexOf(active);
    const page = Math.max(1, Math.floor(view.height / ROW_HEIGHT) - 1);
    const steps: Record<string, number> = {
      ArrowDown: row + 1,
      ArrowUp: row - 1,
      PageDown: row + page,
      PageUp: row - page,
      Home: 0,
      End: ids.length - 1,
    };
    const target = steps[event.key];
    if (target !== undefined) {
      event.preventDefault();
      const id = ids[Math.min(ids.length - 1, Math.max(0, target))];
      if (id === undefined) return;
      setActive(id);
      bringIntoView(id);
    } else if ((event.key === "Enter" || event.key === " ") && active !== null) {
      event.preventDefault();
      model.select(active);
    }
  };

  const { first, end } = windowOf(view.top, view.height, ROW_HEIGHT, ids.length);
  return (
    <section class="list" aria-label="Vehicles">
      <Search onDown={() => box.current?.focus()} />
      <div
        class="rows"
        ref={box}
        role="listbox"
        tabIndex={0}
        aria-label={`${plural(ids.length, "vehicle")}, suspects first`}
        aria-activedescendant={active !== null && ids.includes(active) ? rowId(active) : undefined}
        onKeyDown={onKeyDown}
        onFocus={() => {
          if (active === null && ids[0] !== undefined) setActive(ids[0]);
        }}
        onScroll={(event) => setView({ top: event.currentTarget.scrollTop, height: event.currentTarget.clientHeight })}
      >
        <div class="rows-height" style={{ height: `${ids.length * ROW_HEIGHT}px` }}>
          {ids.slice(first, end).map((id, index) => {
            const vehicle = fleet.vehicles.get(id);
            return (
              vehicle && (
                <VehicleRow
                  key={id}
                  vehicle={vehicle}
                  now={now}
                  row={first + index}
                  count={ids.length}
                  active={id === active}
                  selected={id === selected}
                  onSelect={(chosen) => model.select(chosen)}
                />
              )
            );
          })}
        </div>
        {ids.length === 0 && <Nobody />}
      </div>
    </section>
  );
}

/** Why the list is empty, and what to do about it. */
function Nobody(): JSX.Element {
  const model = useModel();
  const { cursor, vehicles } = model.shown.value;
  if (cursor === null) {
    return (
      <div class="empty" role="status">
        <p>Waiting for the fleet…</p>
      </div>
    );
  }
  if (vehicles.size === 0) {
    return (
      <div class="empty">
        <p>
          <strong>No vehicles yet.</strong>
        </p>
        <p>
          Start some with <code>fleetcell sim run</code>, or provision your own with <code>fleetcell vehicles add</code>.
          They appear here by themselves.
        </p>
      </div>
    );
  }
  return (
    <div class="empty">
      <p>None of {plural(vehicles.size, "vehicle")} matches.</p>
      <button type="button" class="plain" onClick={() => (model.filter.value = NO_FILTER)}>
        Show all
      </button>
    </div>
  );
}
