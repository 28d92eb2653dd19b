/** The oldest major version that runs the service. */
const OLDEST = 24;

/** Throws where this Node is too old, before anything that it lacks is missed. `version` is as in `process.versions.node`. */
export function requireNode(version: string, path: string): void {
  if (Number(version.split(".", 1)[0]) < OLDEST)
    throw new Error(`Latchkey needs Node ${OLDEST} or newer; this is ${version} (${path})`);
}
