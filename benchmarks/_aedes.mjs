// aedes with a TCP and a WebSocket listener, as its documentation shows; arguments: the two ports.
import { createServer as createHttpServer } from "node:http";
import { createServer } from "node:net";

import { Aedes } from "aedes";
import { WebSocketServer, createWebSocketStream } from "ws";

const [mqttPort, wsPort] = process.argv.slice(2).map(Number);
const broker = await Aedes.createBroker();
for (const event of ["clientError", "connectionError"]) broker.on(event, () => undefined);

createServer({ noDelay: true }, broker.handle).listen(mqttPort, "127.0.0.1", 4096);

const http = createHttpServer();
new WebSocketServer({ server: http, perMessageDeflate: false }).on("connection", (socket, request) => {
  const stream = createWebSocketStream(socket);
  stream.on("error", () => undefined);
  broker.handle(stream, request);
});
http.listen(wsPort, "127.0.0.1", 4096);
