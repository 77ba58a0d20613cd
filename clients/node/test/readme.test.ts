// Runs the README's examples, as printed, against the package as it is packed.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { cp, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { Served } from "./serve.js";

const run = promisify(execFile);
const root = fileURLToPath(new URL("../../", import.meta.url));
let folder: string;
let served: Served;

before(async () => {
  served = await Served.start();
  folder = await mkdtemp(path.join(tmpdir(), "zioflow-readme-"));
  // Only the files that a package has, and its dependencies.
  const installed = path.join(folder, "node_modules", "zioflow");
  await mkdir(installed, { recursive: true });
  const { stdout } = await run("npm", ["pack", "--json", "--pack-destination", folder], { cwd: root });
  const [{ filename }] = JSON.parse(stdout.slice(stdout.indexOf("["))) as [{ filename: string }];
  await run("tar", ["-xzf", path.join(folder, filename), "--strip-components=1", "-C", installed]);
  for (const scope of ["@grpc", "@bufbuild"]) {
    await symlink(path.join(root, "node_modules", scope), path.join(folder, "node_modules", scope));
  }
  await cp(path.join(root, "README.md"), path.join(folder, "README.md"));
});

after(async () => {
  await served.kill();
  await rm(folder, { recursive: true });
});

test("the README", { timeout: 60_000 }, async () => {
  const readme = await readFile(path.join(folder, "README.md"), "utf8");
  const blocks = [...readme.matchAll(/```js\n(.*?)```\n```output\n(.*?)```/gs)];
  assert.equal(blocks.length, readme.split("```js").length - 1, "every example shows its output");
  assert.ok(blocks.length >= 4);
  for (const [, code, output] of blocks) {
    await writeFile(path.join(folder, "example.mjs"), code!.replaceAll("127.0.0.1:7575", served.address));
    const { stdout } = await run(process.execPath, [path.join(folder, "example.mjs")], { cwd: folder });
    assert.equal(stdout, output, code);
  }
});
