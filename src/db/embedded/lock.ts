import { closeSync, constants, openSync, statSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

const WAIT_MS = 120_000;
const O_EXLOCK = 0x20;

type Unlock = () => Promise<void>;

/** Runs `work` while no other process starts or joins the server of `folder`. */
export async function withStartLock<T>(folder: string, work: () => Promise<T>): Promise<T> {
  const deadline = Date.now() + WAIT_MS;
  let unlock = await tryStartLock(folder);
  while (unlock === null) {
    if (Date.now() > deadline)
      throw new Error(`another process has been starting the database of ${folder} for too long`);
    await sleep(20);
    unlock = await tryStartLock(folder);
  }
  try {
    return await work();
  } finally {
    await unlock();
  }
}

/**
 * Takes the start lock of `folder`, or answers null while another process has it.
 *
 * The kernel itself drops either kind of lock when its holder dies, so none can be stale. Node offers no flock():
 * Linux has abstract sockets, whose names vanish with their owner, and macOS locks a file while opening it.
 */
export function tryStartLock(folder: string): Promise<Unlock | null> {
  return process.platform === "linux" ? lockName(folder) : Promise.resolve(lockFile(folder));
}

function lockName(folder: string): Promise<Unlock | null> {
  const { dev, ino } = statSync(folder, { bigint: true });
  const server = createServer((stranger) => stranger.destroy());
  return new Promise((resolve, reject) => {
    server.once("error", (error: NodeJS.ErrnoException) => {
      if (error.code === "EADDRINUSE") resolve(null);
      else reject(error);
    });
    // Without `exclusive`, the workers of a cluster would share the name and with it the lock.
    server.listen({ path: `\0latchkey-start-${dev}-${ino}`, exclusive: true }, () => {
      resolve(() => new Promise((closed) => server.close(() => closed())));
    });
  });
}

function lockFile(folder: string): Unlock | null {
  const flags = constants.O_RDWR | constants.O_CREAT | constants.O_NONBLOCK | O_EXLOCK;
  try {
    const file = openSync(join(folder, "start.lock"), flags, 0o600);
    return async () => closeSync(file);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EAGAIN") return null;
    throw error;
  }
}
