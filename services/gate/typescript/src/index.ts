export { ConfigurationError } from "./client";
export type { Mode, Reason, Refusal } from "./decision";
export { Gate, type GateOptions, type Proof, ProofRefuted, type Report } from "./gate";
export { grpcGate, type GrpcOptions, statusOf } from "./grpc";
export { expressGate, fastifyGate, type HttpOptions, problemOf } from "./http";
