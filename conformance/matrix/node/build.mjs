// Compiles clients/node for the matrix, in a second: its types are checked by its own tests.
//
//     node build.mjs CLIENT INTO
import { mkdirSync, readFileSync, readdirSync, symlinkSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";

const [client, into] = process.argv.slice(2);
const typescript = createRequire(path.join(path.resolve(client), "package.json"))("typescript");
const compilerOptions = { target: "es2022", module: "es2022" };

const source = path.join(client, "src");
for (const name of readdirSync(source, { recursive: true })) {
  if (!name.endsWith(".ts")) continue;
  const text = readFileSync(path.join(source, name), "utf8");
  const { outputText } = typescript.transpileModule(text, { compilerOptions });
  const file = path.join(into, name.replace(/\.ts$/, ".js"));
  mkdirSync(path.dirname(file), { recursive: true });
  writeFileSync(file, outputText);
}
writeFileSync(path.join(into, "package.json"), '{"type":"module"}');
symlinkSync(path.resolve(client, "node_modules"), path.join(into, "node_modules"));
