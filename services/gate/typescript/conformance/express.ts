import express from "express";

import { expressGate } from "../src/index";
import { gate, PORT } from "./settings";

const app = express();
app.use(expressGate(gate));
app.get("/work", (_request, response) => void response.send("done"));
app.listen(PORT, "127.0.0.1");
