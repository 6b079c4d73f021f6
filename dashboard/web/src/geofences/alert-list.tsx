import type { JSX } from "preact";
import { useRef, useState } from "preact/hooks";
import type { Alert } from "../api/types";
import { useModel } from "../app/model";
import { Icon } from "../ui/icons";
import { age, grouped, plural } from "../ui/format";
import { alertWords, openOnes, outcome } from "./alerts";

/** Who entered or left a geofence: a count over the map, and the list behind it. */
export function AlertList(): JSX.Element | null {
  const model = useModel();
  const opener = useRef<HTMLButtonElement>(null);
  const [failure, setFailure] = useState<string | null>(null);
  const open = model.alertsOpen.value;
  const alerts = model.alerts.value;
  if (alerts === null) return null;
  const role = model.session.value?.role;
  const may = role === "operator" || role === "admin";
  const waiting = openOnes(alerts);

  const close = (): void => {
    model.alertsOpen.value = false;
    opener.current?.focus();
  };
  const show = (): void => {
    model.alertsOpen.value = true;
    model.hazardsOpen.value = false;
  };
  const acknowledge = async (id: number): Promise<void> => {
    try {
      model.takeAlert(await model.api.acknowledge(id));
      setFailure(null);
    } catch (error) {
      setFailure(error instanceof Error ? error.message : String(error));
    }
  };

  return (
    <div
      class="alerts"
      onKeyDown={(event) => {
        if (event.key !== "Escape" || !open) return;
        event.preventDefault(); // the panel of a vehicle stays
        close();
      }}
    >
      <button
        type="button"
        class={waiting === 0 ? "hazards-count none" : "hazards-count"}
        ref={opener}
        aria-expanded={open}
        aria-controls="alert-list"
        data-alerts={waiting}
        onClick={() => (open ? close() : show())}
      >
        <Icon name="bell" />
        <b>{grouped(waiting)}</b>
        <span>{waiting === 1 ? "alert" : "alerts"}</span>
      </button>
      {open && (
        <section class="hazards-box" id="alert-list" aria-label={`${plural(waiting, "open alert")} of the last day`}>
          {failure !== null && (
            <p class="failure" role="alert">
              {failure}
            </p>
          )}
          {alerts.length === 0 ? (
            <p class="muted">No alerts in the last day.</p>
          ) : (
            <ul>
              {alerts.map((alert) => (
                <Row key={alert.id} alert={alert} now={model.now.value} acknowledge={may ? acknowledge : null} />
              ))}
            </ul>
          )}
        </section>
      )}
    </div>
  );
}

function Row({
  alert,
  now,
  acknowledge,
}: {
  alert: Alert;
  now: number;
  acknowledge: ((id: number) => Promise<void>) | null;
}): JSX.Element {
  const model = useModel();
  const { id, vehicle, at, state } = alert;
  return (
    <li class={state === "open" ? "alert-row" : "alert-row over"} data-alert={alert.kind} data-state={state}>
      <button type="button" class="alert-text" onClick={() => model.select(vehicle)}>
        <b>{vehicle}</b> <span>{alertWords(alert)}</span>
        <small class="num">{[`${age(now - at)} ago`, outcome(alert)].filter(Boolean).join(", ")}</small>
      </button>
      {state === "open" && acknowledge !== null && (
        <button
          type="button"
          class="alert-done"
          aria-label={`Seen to: ${vehicle} ${alertWords(alert)}`}
          onClick={() => void acknowledge(id)}
        >
          Seen to
        </button>
      )}
    </li>
  );
}
