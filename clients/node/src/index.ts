export { Gateway, type PutResult } from "./gateway.js";
export type { GatewayOptions } from "./connection.js";
export { FlowEnded, FlowError, type EndReason } from "./errors.js";
export type { Flow } from "./flow.js";
export { Giver } from "./giver.js";
export { Taker } from "./taker.js";
export { Listener, Offer, type HandleOptions, type Handler, type ListenerState, type Peer } from "./listener.js";
export type { Bot, BotOptions, Dat, DatOptions, Direction, Eot, Label, Part, TakenBy } from "./messages.js";
export type { Dtype, Tensor, TensorInput, Tensors, TypedArray } from "./tens.js";
