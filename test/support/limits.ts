import { type Config, parseConfig } from "../../src/config.ts";

/** The limits as they are by default, but for the settings given; tests have none otherwise. */
export function limited(settings: Readonly<Record<string, string>> = {}): Pick<Config, "rateLimits"> {
  const { rateLimits } = parseConfig(settings);
  return { rateLimits };
}
