import type { JSX } from "preact";
import { useState } from "preact/hooks";
import type { Alert } from "../api/types";
import { useModel } from "../app/model";
import { Icon } from "../ui/icons";
import { age, plural } from "../ui/format";
import { Notices } from "../ui/notices";
import { alertWords, openOnes, outcome } from "./alerts";

/** Who entered or left a geofence: a count over the map, and the list behind it. */
export function AlertList(): JSX.Element | null {
  const model = useModel();
  const alerts = model.alerts.value;
  if (alerts === null) return null;
  const waiting = openOnes(alerts);
  return (
    <Notices
      noun="alert"
      icon={<Icon name="bell" />}
      count={waiting}
      label={`${plural(waiting, "open alert")} of the last day`}
      open={model.alertsOpen.value}
      onOpen={() => {
        model.alertsOpen.value = true;
        model.hazardsOpen.value = false;
      }}
      onClose={() => (model.alertsOpen.value = false)}
    >
      <Alerts alerts={alerts} />
    </Notices>
  );
}

function Alerts({ alerts }: { alerts: readonly Alert[] }): JSX.Element {
  const model = useModel();
  const [failure, setFailure] = useState<string | null>(null);
  const role = model.session.value?.role;
  const may = role === "operator" || role === "admin";
  const acknowledge = async (id: number): Promise<void> => {
    try {
      model.takeAlert(await model.api.acknowledge(id));
      setFailure(null);
    } catch (error) {
      setFailure(error instanceof Error ? error.message : String(error));
    }
  };
  return (
    <>
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
    </>
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
