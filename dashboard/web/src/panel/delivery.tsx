import type { JSX } from "preact";
import type { Delivery } from "../api/types";
import { grouped, plural } from "../ui/format";

/** What became of every reading the vehicle numbered. */
export function DeliverySummary({ delivery }: { delivery: Delivery | null }): JSX.Element {
  return (
    <section aria-label="Delivery">
      <h3>Delivery</h3>
      {delivery === null ? <p class="muted">Reading…</p> : <Ledger delivery={delivery} />}
    </section>
  );
}

function Ledger({ delivery }: { delivery: Delivery }): JSX.Element {
  const { received, pending, unexplained } = delivery;
  const explained: [string, number][] = [
    ["dropped by the vehicle", delivery.evicted],
    ["quarantined", delivery.quarantined],
    ["clock corrected", delivery.corrected],
    ["dead-lettered", delivery.deadLettered],
    ["came late", delivery.late],
    ["came again", delivery.duplicates],
  ];
  return (
    <>
      <div class="tiles">
        <Tile value={received} name="received" />
        <Tile value={pending} name="pending" />
        <Tile value={unexplained} name="gaps unexplained" bad={unexplained > 0} />
      </div>
      <p class="muted">
        {explained
          .filter(([, n]) => n > 0)
          .map(([name, n]) => `${grouped(n)} ${name}`)
          .concat(`over ${plural(delivery.boots, "power-up")}`)
          .join(" · ")}
      </p>
      {delivery.flags.map((flag) => (
        <p class="failure" role="status" key={flag}>
          {flag}
        </p>
      ))}
    </>
  );
}

function Tile({ value, name, bad = false }: { value: number; name: string; bad?: boolean }): JSX.Element {
  return (
    <div class={bad ? "tile bad" : "tile"}>
      <b class="num">{grouped(value)}</b>
      <span>{name}</span>
    </div>
  );
}
