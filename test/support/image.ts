import { chmodSync, copyFileSync, cpSync, mkdirSync, mkdtempSync, rmSync, statSync } from "node:fs";
import { rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, delimiter, join, resolve } from "node:path";
import { start } from "./commands.ts";
import { type Instruction, readCopy, readDockerfile, type Stage } from "./dockerfile.ts";

/** What comes of a Dockerfile where there is no container engine: the files, and how they are run. */
export interface Image {
  /** The folder that stands for `/`. */
  readonly root: string;
  readonly workdir: string;
  /** What a container sees, with the base image's Node first on the PATH. */
  readonly env: Readonly<Record<string, string>>;
  readonly entrypoint: readonly string[];
  readonly command: readonly string[];
  readonly health: readonly string[];
}

type Images = ReadonlyMap<string, Promise<Image>>;
type Place = { readonly folder: string; readonly context: string; readonly images: Images };

/** Carries out every stage of a checkout's Dockerfile in a folder of its own, and gives the image of the last. */
export async function buildImage(context: string): Promise<Image & { remove(): Promise<void> }> {
  const folder = mkdtempSync(join(tmpdir(), "latchkey-test-"));
  process.on("exit", () => rmSync(folder, { recursive: true, force: true }));
  // Root's images run as somebody else, who has to get through.
  chmodSync(folder, 0o711);
  const images = new Map<string, Promise<Image>>();
  for (const stage of readDockerfile(join(context, "Dockerfile")))
    images.set(stage.name, buildStage(stage, { folder, context, images }));
  const last = (await Promise.all(images.values())).at(-1);
  if (!last) throw new Error("the Dockerfile has no stage");
  return { ...last, remove: () => rm(folder, { recursive: true, force: true }) };
}

async function buildStage({ name, base, instructions }: Stage, place: Place): Promise<Image> {
  const root = join(place.folder, name);
  mkdirSync(root);
  const parent = await place.images.get(base);
  let image = parent ? inherit(parent, root) : createBase(root);
  for (const instruction of instructions) image = await carryOut(image, instruction, place);
  return image;
}

function inherit(parent: Image, root: string): Image {
  cpSync(parent.root, root, { recursive: true, verbatimSymlinks: true });
  return { ...parent, root };
}

/** Somebody else's image, of which only Node is there. */
function createBase(root: string): Image {
  const bin = resolve(root, "../bin");
  mkdirSync(bin, { recursive: true });
  copyFileSync(process.execPath, join(bin, "node"));
  const machine = (process.env.PATH ?? "").split(delimiter).filter((path) => !path.includes("node_modules"));
  const env = { PATH: [bin, ...machine].join(delimiter) };
  return { root, workdir: "/", env, entrypoint: [], command: [], health: [] };
}

async function carryOut(image: Image, { keyword, text }: Instruction, place: Place): Promise<Image> {
  if (keyword === "COPY") await copy(image, text, place);
  else if (keyword === "RUN") await run(image, text);
  else return note(image, keyword, text);
  return image;
}

async function copy({ root, workdir }: Image, text: string, { context, images }: Place): Promise<void> {
  const { from, sources, target } = readCopy(text);
  const origin = from === null ? context : (await images.get(from))?.root;
  if (origin === undefined) throw new Error(`there is no stage ${from}`);
  for (const source of sources.map((path) => join(origin, path))) {
    const whole = join(root, workdir, target);
    const to = statSync(source).isDirectory() ? whole : join(whole, basename(source));
    cpSync(source, to, { recursive: true, verbatimSymlinks: true });
  }
}

// What a machine needs to reach the registry, and what it has of it already.
const OF_THE_MACHINE =
  /^(HOME|(https?|no|all)_proxy|NODE_EXTRA_CA_CERTS|npm_config_(registry|cache|userconfig|cafile))$/i;

async function run({ root, workdir, env }: Image, command: string): Promise<void> {
  const machine = Object.fromEntries(Object.entries(process.env).filter(([name]) => OF_THE_MACHINE.test(name)));
  const surroundings = { cwd: join(root, workdir), env: { ...machine, npm_config_prefer_offline: "true", ...env } };
  const { code, stdout, stderr } = await start("sh", ["-c", command], surroundings).outcome;
  if (code !== 0) throw new Error(`RUN ${command} ended with ${code}\n${stdout}${stderr}`);
}

function note(image: Image, keyword: string, text: string): Image {
  const change = NOTES[keyword];
  if (!change) throw new Error(`${keyword} is not known here`);
  const changed = { ...image, ...change(text, image) };
  mkdirSync(join(changed.root, changed.workdir), { recursive: true });
  return changed;
}

const NOTES: Readonly<Record<string, (text: string, image: Image) => Partial<Image>>> = {
  WORKDIR: (workdir) => ({ workdir }),
  ENV: (text, { env }) => ({ env: { ...env, ...Object.fromEntries(text.split(/ +/).map((pair) => pair.split("="))) } }),
  ENTRYPOINT: (text) => ({ entrypoint: JSON.parse(text) }),
  CMD: (text) => ({ command: JSON.parse(text) }),
  // Without an engine, who runs it chooses the account and the ports.
  USER: () => ({}),
  EXPOSE: () => ({}),
  HEALTHCHECK: (text) => ({ health: JSON.parse(text.replace(/^.*?CMD +/, "")) }),
};
