// A gateway of the tests' own.
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

export const program = process.env["ZIO_GATEWAY_PROGRAM"] ?? fileURLToPath(new URL("../../../../bin/gateway", import.meta.url));

export class Served {
  address = "127.0.0.1:0";
  /** What it has written to its ready file. */
  ready: { grpc: string; grpc_addresses?: string[]; http?: string; zmq_router?: string[] } = { grpc: "" };
  #process!: ChildProcess;
  readonly #options: string[];

  private constructor(options: string[]) {
    this.#options = options;
  }

  static async start(...options: string[]): Promise<Served> {
    const served = new Served(options);
    await served.restart();
    return served;
  }

  /** Starts it, at the address that it had before. */
  async restart(): Promise<void> {
    const folder = await mkdtemp(path.join(tmpdir(), "zioflow-"));
    const ready = path.join(folder, "ready.json");
    const environment = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith("ZIO_GATEWAY_")));
    const fronts = ["--zmq-server=none", "--zmq-router=none", "--http=none"]
      .filter((front) => !this.#options.some((option) => option.startsWith(front.slice(0, -"none".length))));
    this.#process = spawn(program, [
      "serve", ...fronts, "--node=none", `--grpc=${this.address}`, `--ready-file=${ready}`, ...this.#options,
    ], { stdio: ["ignore", "pipe", "pipe"], env: environment });
    let log = "";
    this.#process.stderr?.on("data", (text: Buffer) => (log += text.toString()));
    const lines = createInterface({ input: this.#process.stdout! });
    for await (const line of lines) if (line.startsWith("ready: ")) break;
    this.#process.stdout?.resume();
    try {
      this.ready = JSON.parse(await readFile(ready, "utf8")) as typeof this.ready;
      this.address = this.ready.grpc;
    } catch (error) {
      throw new Error(`${program} did not start: ${log}`, { cause: error });
    }
    await rm(folder, { recursive: true });
  }

  async kill(signal: NodeJS.Signals = "SIGKILL"): Promise<void> {
    if (this.#process.exitCode !== null || this.#process.signalCode !== null) return;
    this.#process.kill(signal);
    await once(this.#process, "exit");
  }
}
