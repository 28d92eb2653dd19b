import { contradictionsOfLimits, type RateLimits } from "./rate-limits.ts";

type Environment = Readonly<Record<string, string | undefined>>;

interface Checked {
  readonly grpcPort: number;
  readonly httpPort: number;
  readonly metricsPort: number;
  readonly emailConfirmation: "required" | "optional";
  readonly accountDisclosure: "documented" | "hidden";
  readonly rateLimits: RateLimits | null;
}

/** Settings that this environment must have and does not. */
export function missingSettings(env: Environment, production: boolean): string[] {
  const needed = production ? ["DATABASE_URL", "SECRET_KEY", "SMTP_URL", "PUBLIC_URL"] : [];
  const faults = needed.filter((name) => env[name] === undefined).map((name) => `${name} is required in production`);
  const lacksSecret = env.JWT_ALGORITHM === "HS256" && env.JWT_SECRET === undefined;
  return lacksSecret ? [...faults, "JWT_SECRET is required with JWT_ALGORITHM=HS256"] : faults;
}

/** Settings that are right by themselves and wrong together. */
export function contradictions(config: Checked, env: Environment): string[] {
  return [
    ...[...samePorts(config, env), ...incompleteTls(env)],
    ...[...toldBySigningIn(config), ...contradictionsOfLimits(config.rateLimits)],
  ];
}

function samePorts({ grpcPort, httpPort, metricsPort }: Checked, env: Environment): string[] {
  const ports = Object.entries({ GRPC_PORT: grpcPort, HTTP_PORT: httpPort, METRICS_PORT: metricsPort });
  const clash = (name: string, port: number) => ports.some(([other, taken]) => other !== name && taken === port);
  // Those that were set: a default is not to blame.
  return ports
    .filter(([name, port]) => port !== 0 && env[name] !== undefined && clash(name, port))
    .map(([name]) => `${name} is the same port as another listener's`);
}

// A sign-up that signs in, or does not, tells whether there was an account.
function toldBySigningIn({ emailConfirmation, accountDisclosure }: Checked): string[] {
  return accountDisclosure === "hidden" && emailConfirmation === "optional"
    ? ["ACCOUNT_DISCLOSURE cannot be hidden with EMAIL_CONFIRMATION=optional"]
    : [];
}

/** Settings of TLS, the first two of which are needed for it. */
export const TLS_SETTINGS = ["TLS_CERT", "TLS_KEY", "TLS_CLIENT_CA"] as const;

// Whoever gives one of them must not be left without encryption, or with clients that nobody checks.
function incompleteTls(env: Environment): string[] {
  const given = TLS_SETTINGS.find((name) => env[name]?.trim());
  const lacking = TLS_SETTINGS.slice(0, 2).filter((name) => env[name] === undefined);
  return given && lacking.length > 0 ? [`${given} needs ${lacking.join(" and ")} beside it`] : [];
}
