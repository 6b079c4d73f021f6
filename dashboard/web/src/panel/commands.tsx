import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { useModel } from "../app/model";
import type { Command } from "../api/types";
import { clock } from "../ui/format";
import { CHOICES, canCancel, commandWords, resultText } from "./command-words";
import type { VehicleWatch } from "./watch";

/** The vehicle's newest commands, and, for who may, a way to send another. */
export function Commands({ watch, now }: { watch: VehicleWatch; now: number }): JSX.Element {
  const role = useModel().session.value?.role;
  const may = role === "operator" || role === "admin";
  const [failure, setFailure] = useState<string | null>(null);
  const attempt = async (work: () => Promise<void>): Promise<void> => {
    try {
      await work();
      setFailure(null);
    } catch (error) {
      setFailure(error instanceof Error ? error.message : String(error));
    }
  };
  const commands = watch.commands.value;
  return (
    <section aria-label="Commands">
      <h3>Commands</h3>
      {may && <Send send={(name, args) => attempt(() => watch.send(name, args))} />}
      {failure !== null && (
        <p class="failure" role="alert">
          {failure}
        </p>
      )}
      {commands === null ? (
        <p class="muted">Reading…</p>
      ) : commands.length === 0 ? (
        <p class="muted">None yet.</p>
      ) : (
        <ol class="commands">
          {commands.map((command) => (
            <Row
              key={command.id}
              command={command}
              now={now}
              cancel={may ? () => attempt(() => watch.cancel(command.id)) : null}
            />
          ))}
        </ol>
      )}
    </section>
  );
}

function Send({ send }: { send: (name: string, args: Record<string, number>) => Promise<void> }): JSX.Element {
  const [name, setName] = useState(CHOICES[0]?.name ?? "");
  const [busy, setBusy] = useState(false);
  const choice = CHOICES.find((one) => one.name === name);
  const submit = async (event: Event): Promise<void> => {
    event.preventDefault();
    const seconds = Number(new FormData(event.currentTarget as HTMLFormElement).get("seconds"));
    setBusy(true);
    await send(name, choice?.seconds === undefined ? {} : { seconds });
    setBusy(false);
  };
  return (
    <form class="command-form" onSubmit={(event) => void submit(event)}>
      <select aria-label="Command" value={name} onChange={(event) => setName(event.currentTarget.value)}>
        {CHOICES.map((one) => (
          <option key={one.name} value={one.name}>
            {one.label}
          </option>
        ))}
      </select>
      {choice?.seconds !== undefined && (
        <label>
          <input key={name} name="seconds" type="number" min={1} max={86400} required defaultValue={String(choice.seconds)} />
          s
        </label>
      )}
      <button type="submit" class="pill" disabled={busy}>
        {busy ? "Sending…" : "Send"}
      </button>
    </form>
  );
}

function Row({ command, now, cancel }: { command: Command; now: number; cancel: (() => Promise<void>) | null }): JSX.Element {
  const said = command.error ?? resultText(command.result);
  return (
    <li data-command={command.name} data-command-state={command.state}>
      <span>
        <b>{command.name}</b> · {commandWords(command.state)}
        {canCancel(command.state) && ` (until ${clock(command.notAfter, now)})`}
      </span>
      {canCancel(command.state) && cancel !== null && (
        <button type="button" class="link" onClick={() => void cancel()}>
          Call off
        </button>
      )}
      <time class="num" dateTime={new Date(command.created).toISOString()}>
        {clock(command.created, now)}
      </time>
      {said !== "" && <small>{said}</small>}
    </li>
  );
}
