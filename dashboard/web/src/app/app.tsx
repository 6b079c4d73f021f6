import type { JSX } from "preact";
import { Header } from "../head/header";
import { StaleBanner } from "../head/live-status";
import { VehicleList } from "../list/vehicle-list";
import { MapView } from "../map/map-view";
import { VehiclePanel } from "../panel/vehicle-panel";
import { Announcer } from "./announcer";
import { useModel } from "./model";
import { Sheet } from "./sheet";
import { SignIn } from "./sign-in";

export function App({ reconnect }: { reconnect: () => void }): JSX.Element {
  const model = useModel();
  if (model.link.value.kind === "signed-out") return <SignIn onDone={reconnect} />;
  const selected = model.selected.value;
  return (
    <div class={selected === null ? "page" : "page with-panel"} style={{ "--sheet": String(model.sheet.value) }}>
      <Header />
      <StaleBanner />
      <main class="main">
        <MapView />
        <Sheet>
          <VehicleList />
        </Sheet>
        {selected !== null && <VehiclePanel key={selected} id={selected} />}
      </main>
      <Announcer />
    </div>
  );
}
