import type { JSX } from "preact";
import type { Reading, SignalInfo, Vehicle } from "../api/types";
import { currentReadings } from "../store/fleet";
import { age, clock, signalText } from "../ui/format";

/** Older than this a value is greyed: it may no longer be so. */
const STALE_MS = 30_000;

interface Props {
  readonly vehicle: Vehicle;
  readonly catalogue: ReadonlyMap<string, SignalInfo>;
  readonly now: number;
}

/** The latest value of each signal, in the order of the catalogue, each with its age. */
export function Signals({ vehicle, catalogue, now }: Props): JSX.Element {
  const readings = currentReadings(vehicle);
  const known = [...catalogue.keys()].filter((key) => key in readings);
  const others = Object.keys(readings).filter((key) => !catalogue.has(key));
  const keys = [...known, ...others.sort()];
  return (
    <section aria-label="Latest signals">
      <h3>Latest signals</h3>
      {keys.length === 0 ? (
        <p class="muted">No readings yet.</p>
      ) : (
        <table class="signals">
          <thead class="hidden">
            <tr>
              <th>Signal</th>
              <th>Value</th>
              <th>Age</th>
            </tr>
          </thead>
          <tbody>
            {keys.map((key) => {
              const reading = readings[key];
              return reading && <Row key={key} name={key} info={catalogue.get(key)} reading={reading} now={now} />;
            })}
          </tbody>
        </table>
      )}
    </section>
  );
}

interface RowProps {
  readonly name: string;
  readonly info: SignalInfo | undefined;
  readonly reading: Reading;
  readonly now: number;
}

function Row({ name, info, reading, now }: RowProps): JSX.Element {
  const old = now - reading.time;
  const unit = reading.unit ?? info?.unit ?? null;
  return (
    <tr class={old > STALE_MS ? "stale-value" : ""} data-signal={name}>
      <th scope="row" title={info?.vss ?? name}>
        {info?.label ?? name}
      </th>
      <td class="num">
        {signalText(name, reading.value)}
        {unit !== null && <span class="unit"> {unit}</span>}
      </td>
      <td class="num age" title={`measured ${clock(reading.time, now)}`}>
        {age(old)}
      </td>
    </tr>
  );
}
