/** Puts the page together and starts it. */

import { effect } from "@preact/signals";
import { render } from "preact";
import "@fontsource-variable/inter/wght.css";
import "./styles/theme.css";
import "./styles/page.css";
import "./styles/list.css";
import "./styles/panel.css";
import "./styles/notices.css";
import "./styles/hazards.css";
import "./styles/alerts.css";
import { Api, ApiError } from "./api/client";
import { App } from "./app/app";
import { Model, ModelProvider } from "./app/model";
import { ALERTS_SINCE, MOST_ALERTS } from "./geofences/alerts";
import { MOST_SHOWN, SHOWN_AFTER } from "./hazards/hazards";
import { LiveConnection } from "./live/connection";
import { watchTheme } from "./ui/theme";

const HEALTH_MS = 5000;
const HAZARDS_MS = 3000;
const ALERTS_MS = 3000;
const GEOFENCES_MS = 15000;

function start(root: HTMLElement): void {
  const themes = watchTheme(document.documentElement, localStorage, matchMedia("(prefers-color-scheme: dark)"));
  const api = new Api(() => signedOut());
  const model = new Model(api, themes);
  const connection = connect(model, api);

  const signedOut = (): void => {
    connection.stop();
    model.link.value = { kind: "signed-out" };
    model.session.value = null;
  };
  const run = (): void => {
    connection.start();
    void readOnce(model, api);
  };

  render(
    <ModelProvider value={model}>
      <App reconnect={run} />
    </ModelProvider>,
    root,
  );
  rememberSelection(model);
  window.setInterval(() => model.tick(), 500);
  window.setInterval(() => void readHealth(model, api), HEALTH_MS);
  window.setInterval(() => void readHazards(model, api), HAZARDS_MS);
  window.setInterval(() => void readAlerts(model, api), ALERTS_MS);
  window.setInterval(() => void readGeofences(model, api), GEOFENCES_MS);
  addEventListener("online", () => connection.retryNow());
  document.addEventListener("visibilitychange", () => {
    if (!document.hidden) connection.retryNow();
  });
  run();
}

function connect(model: Model, api: Api): LiveConnection {
  const address = new URL("./api/v1/live", location.href);
  address.protocol = address.protocol === "https:" ? "wss:" : "ws:";
  address.hash = "";
  return new LiveConnection(
    address,
    {
      open: (url) => new WebSocket(url),
      monotonic: () => performance.now(),
      random: () => Math.random(),
      later: (run, ms) => window.setTimeout(run, ms),
      cancel: (timer) => window.clearTimeout(timer),
      signedIn: async () => {
        try {
          await api.fleet();
        } catch (error) {
          return !(error instanceof ApiError && error.status === 401);
        }
        return true;
      },
    },
    {
      cursor: () => model.fleet.cursor,
      opened: () => model.connected(),
      frame: (frame) => model.take(frame),
      problem: (reason) => {
        model.problems.value += 1;
        console.warn("left out part of the live feed:", reason);
      },
      link: (link) => (model.link.value = link),
    },
  );
}

/** What does not change while the page is open. */
async function readOnce(model: Model, api: Api): Promise<void> {
  const tell = (error: unknown): void => console.warn(error instanceof Error ? error.message : error);
  await Promise.all([
    readHealth(model, api),
    readHazards(model, api),
    readAlerts(model, api),
    readGeofences(model, api),
    api
      .session()
      .then((session) => (model.session.value = session))
      .catch(tell),
    api
      .signals()
      .then((signals) => (model.catalogue.value = new Map(signals.map((info) => [info.key, info]))))
      .catch(tell),
    api
      .roads()
      .then((roads) => (model.roads.value = roads))
      .catch(tell),
  ]);
}

async function readHealth(model: Model, api: Api): Promise<void> {
  if (document.hidden || model.link.peek().kind === "signed-out") return;
  try {
    model.health.value = await api.fleet();
  } catch (error) {
    model.health.value = null; // better nothing than what was so a while ago
    console.warn("gateway health:", error instanceof Error ? error.message : error);
  }
}

/** Warnings are few and hold for seconds to hours, so asking now and then is enough. */
async function readHazards(model: Model, api: Api): Promise<void> {
  if (document.hidden || model.link.peek().kind === "signed-out") return;
  try {
    model.hazards.value = await api.hazards(SHOWN_AFTER, MOST_SHOWN);
  } catch (error) {
    console.warn("hazards:", error instanceof Error ? error.message : error); // what is shown says until when
  }
}

async function readAlerts(model: Model, api: Api): Promise<void> {
  if (document.hidden || model.link.peek().kind === "signed-out") return;
  try {
    model.alerts.value = await api.alerts(ALERTS_SINCE, MOST_ALERTS);
  } catch (error) {
    console.warn("alerts:", error instanceof Error ? error.message : error);
  }
}

async function readGeofences(model: Model, api: Api): Promise<void> {
  if (document.hidden || model.link.peek().kind === "signed-out") return;
  try {
    model.geofences.value = await api.geofences();
  } catch (error) {
    console.warn("geofences:", error instanceof Error ? error.message : error);
  }
}

/** The selected vehicle is part of the address, so that a view can be reloaded and shared. */
function rememberSelection(model: Model): void {
  const fromAddress = (): string | null => new URLSearchParams(location.hash.slice(1)).get("vehicle");
  model.select(fromAddress());
  addEventListener("hashchange", () => model.select(fromAddress()));
  effect(() => {
    const id = model.selected.value;
    const hash = id === null ? "" : `#${new URLSearchParams({ vehicle: id }).toString()}`;
    if (location.hash !== hash) history.replaceState(null, "", `${location.pathname}${location.search}${hash}`);
  });
}

const root = document.getElementById("app");
if (root !== null) start(root);
