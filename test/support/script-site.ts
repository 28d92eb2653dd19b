import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { stripTypeScriptTypes } from "node:module";
import type { AddressInfo } from "node:net";
import { resolve } from "node:path";

const ROOT = resolve(import.meta.dirname, "../..");
const SCRIPT = "/test/support/site-script.ts";
const PACKAGES = ["@bufbuild/protobuf", "@connectrpc/connect", "@connectrpc/connect-web"];
const SERVED = [SCRIPT, "/gen/", ...PACKAGES.map((name) => `/node_modules/${name}/dist/esm/`)];

/** A site of somebody else's, whose one page has the script that calls the service. */
export interface ScriptSite {
  readonly origin: string;
  close(): void;
}

/** Serves the page with its modules as they are installed: the import map stands for a bundler. */
export async function startScriptSite(): Promise<ScriptSite> {
  const page = await writePage();
  const server = createServer(async ({ url = "" }, res) => {
    const isServed = SERVED.some((path) => url.startsWith(path));
    const body = url === "/" ? page : isServed ? await readModule(url) : null;
    const type = url === "/" ? "text/html" : "text/javascript";
    res.writeHead(body === null ? 404 : 200, { "content-type": type }).end(body);
  });
  server.listen(0, "127.0.0.1");
  await new Promise((resolve) => server.once("listening", resolve));
  return {
    origin: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    close() {
      server.close();
      server.closeAllConnections();
    },
  };
}

async function writePage(): Promise<string> {
  const imports = Object.fromEntries((await Promise.all(PACKAGES.map(entryPoints))).flat());
  return `<!doctype html><title>A site</title><link rel="icon" href="data:,">
<script type="importmap">${JSON.stringify({ imports })}</script><script type="module" src="${SCRIPT}"></script>`;
}

/** What an import of a package may name, and the module that stands behind it. */
async function entryPoints(name: string): Promise<[string, string][]> {
  const text = await readFile(resolve(ROOT, "node_modules", name, "package.json"), "utf8");
  const { exports }: { exports: Record<string, string | { import: string }> } = JSON.parse(text);
  return Object.entries(exports).flatMap(([path, target]): [string, string][] =>
    typeof target === "string" ? [] : [[name + path.slice(1), `/node_modules/${name}/${target.import.slice(2)}`]],
  );
}

async function readModule(path: string): Promise<string | null> {
  const text = await readFile(resolve(ROOT, `.${path}`), "utf8").catch(() => null);
  return text !== null && path.endsWith(".ts") ? stripTypeScriptTypes(text) : text;
}
