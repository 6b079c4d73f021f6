import type { JSX } from "preact";
import { useEffect, useMemo, useState } from "preact/hooks";
import { useModel } from "../app/model";
import type { Vehicle } from "../api/types";
import { measuredAt, stateOf } from "../store/fleet";
import { age, clock, signalText, speed } from "../ui/format";
import { StateSign } from "../ui/badge";
import { Icon } from "../ui/icons";
import { Changes } from "./changes";
import { Commands } from "./commands";
import { DeliverySummary } from "./delivery";
import { Events } from "./events";
import { HALF_HOUR_MS, series } from "./history";
import { Plot } from "./plot";
import { RegistrationFacts, StateCard } from "./registration";
import { Signals } from "./signals";
import { VehicleWatch } from "./watch";

/** All that is known of one vehicle. */
export function VehiclePanel({ id }: { id: string }): JSX.Element {
  const model = useModel();
  const [folded, setFolded] = useState(false);
  const watch = useMemo(() => new VehicleWatch(model, id), [model, id]);
  useEffect(() => watch.run(), [watch]);

  useEffect(() => {
    const onKey = (event: KeyboardEvent): void => {
      if (event.key === "Escape" && !event.defaultPrevented) model.select(null);
    };
    addEventListener("keydown", onKey);
    return () => removeEventListener("keydown", onKey);
  }, [model]);

  const vehicle = model.shown.value.vehicles.get(id);
  const now = model.now.value;
  const following = model.following.value;
  return (
    <aside class={folded ? "panel folded" : "panel"} aria-label={`Vehicle ${id}`} data-panel={id}>
      <div class="panel-head">
        <h2>
          <button type="button" class="fold" aria-expanded={!folded} onClick={() => setFolded(!folded)}>
            {vehicle && <StateSign state={stateOf(vehicle)} size={18} />} <span>{id}</span>
          </button>
        </h2>
        <button
          type="button"
          class="pill"
          aria-pressed={following}
          disabled={!vehicle?.position}
          onClick={() => {
            model.following.value = !following;
            if (matchMedia("(max-width: 60rem)").matches) setFolded(!following);
          }}
        >
          <Icon name="follow" size={16} /> {following ? "Following" : "Follow"}
        </button>
        <button
          type="button"
          class="icon-button"
          aria-label="Close"
          title="Close (Esc)"
          onClick={() => model.select(null)}
        >
          <Icon name="close" />
        </button>
      </div>
      <div class="panel-body" tabIndex={0} role="group" aria-label="Details">
        {vehicle ? <Body vehicle={vehicle} watch={watch} now={now} /> : <Missing id={id} gone={watch.gone.value} />}
        {watch.failure.value !== null && !watch.gone.value && (
          <p class="failure" role="status">
            Some of this could not be read: {watch.failure.value}. Trying again.
          </p>
        )}
      </div>
    </aside>
  );
}

function Missing({ id, gone }: { id: string; gone: boolean }): JSX.Element {
  return <p class="muted card">{gone ? `There is no vehicle ${id}.` : "Reading…"}</p>;
}

function Body({ vehicle, watch, now }: { vehicle: Vehicle; watch: VehicleWatch; now: number }): JSX.Element {
  const model = useModel();
  const { registration } = vehicle;
  return (
    <>
      <StateCard registration={registration} now={now} />
      <Headline vehicle={vehicle} now={now} />
      <Plots vehicle={vehicle} watch={watch} now={now} />
      <Signals vehicle={vehicle} catalogue={model.catalogue.value} now={now} />
      <Events events={watch.events.value} now={now} />
      <Changes events={watch.history.value} now={now} />
      <Commands watch={watch} now={now} />
      <DeliverySummary delivery={watch.delivery.value} />
      {registration && <RegistrationFacts registration={registration} now={now} />}
    </>
  );
}

/** The two or three figures that matter most, with the age of the newest reading. */
function Headline({ vehicle, now }: { vehicle: Vehicle; now: number }): JSX.Element | null {
  const newest = measuredAt(vehicle);
  if (newest === null) return null;
  const charge = vehicle.latest["soc"] ?? vehicle.latest["fuel"];
  const { position } = vehicle;
  return (
    <div class="tiles" data-panel-lat={position?.lat} data-panel-lon={position?.lon}>
      <div class="tile">
        <b class="num">{speed(position?.speed)}</b>
        <span>speed</span>
      </div>
      {charge && (
        <div class="tile">
          <b class="num">
            {signalText("soc", charge.value)} {charge.unit}
          </b>
          <span>{vehicle.latest["soc"] ? "charge" : "fuel"}</span>
        </div>
      )}
      <div class="tile">
        <b class="num">{age(now - newest)} ago</b>
        <span>newest reading</span>
      </div>
    </div>
  );
}

function Plots({ vehicle, watch, now }: { vehicle: Vehicle; watch: VehicleWatch; now: number }): JSX.Element | null {
  const points = watch.points.value;
  const fuelled = vehicle.latest["soc"] === undefined && vehicle.latest["fuel"] !== undefined;
  const charge = fuelled ? "fuel" : "soc";
  const speeds = useMemo(() => series(points, "speed"), [points]);
  const charges = useMemo(() => series(points, charge), [points, charge]);
  if (!watch.loaded.value) return <p class="muted plots-wait">Reading the last 30 minutes…</p>;
  if (points.length === 0) return null;
  const until = watch.until.value ?? now;
  return (
    <section aria-label="Last 30 minutes">
      <h3>
        Last 30 minutes{" "}
        {watch.until.value !== null && (
          <small>
            of readings, {clock(until - HALF_HOUR_MS, now)} to {clock(until, now)}
          </small>
        )}
      </h3>
      {speeds.times.length > 0 && (
        <Plot label="Speed" unit="km/h" colour="--plot-1" data={speeds} until={until} low={0} high={50} />
      )}
      {charges.times.length > 0 && (
        <Plot
          label={fuelled ? "Fuel level" : "State of charge"}
          unit="%"
          colour="--plot-2"
          data={charges}
          until={until}
          low={0}
          high={100}
          fixed
        />
      )}
    </section>
  );
}
