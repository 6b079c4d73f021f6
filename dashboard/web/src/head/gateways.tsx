import type { JSX } from "preact";
import type { Gateway } from "../api/types";
import { useModel } from "../app/model";
import { age, grouped } from "../ui/format";

interface Health {
  readonly level: "good" | "warn" | "bad";
  readonly words: string;
}

export function healthOf(gateway: Gateway, now: number): Health {
  if (gateway.silent) {
    return { level: "bad", words: gateway.heartbeat === null ? "silent" : `silent for ${age(now - gateway.heartbeat)}` };
  }
  if (gateway.storing === false) return { level: "bad", words: "not storing: the database is away" };
  const lag = gateway.lagSeconds;
  if (lag === null) return { level: "good", words: "storing" };
  const words = `storing, lag ${lag < 10 ? lag.toFixed(1) : grouped(Math.round(lag))} s`;
  return { level: lag > 10 ? "warn" : "good", words };
}

/** Whether each region's gateway stores, and how far it is behind. */
export function Gateways(): JSX.Element | null {
  const model = useModel();
  const health = model.health.value;
  const now = model.now.value;
  if (health === null) return null;
  if (health.gateways.length === 0) return <span class="gateway bad">no gateway yet</span>;
  return (
    <ul class="gateways" aria-label="Region gateways">
      {health.gateways.slice(0, 3).map((gateway) => {
        const lag = gateway.lagSeconds ?? health.lagSeconds;
        const { level, words } = healthOf({ ...gateway, lagSeconds: lag }, now);
        return (
          <li key={gateway.region} class={`gateway ${level}`} title={`Gateway ${gateway.region}: ${words}`}>
            <i class="dot" aria-hidden="true" />
            <b>{gateway.region}</b>
            <span>{words}</span>
          </li>
        );
      })}
      {health.gateways.length > 3 && <li class="gateway">+{health.gateways.length - 3}</li>}
    </ul>
  );
}
