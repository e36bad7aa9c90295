import fastify from "fastify";

import { fastifyGate } from "../src/index";
import { gate, PORT } from "./settings";

const app = fastify();
fastifyGate(app, gate);
app.get("/work", async () => "done");
void app.listen({ host: "127.0.0.1", port: PORT });
