import type { Config } from "../config.ts";
import type { Database } from "../db/database.ts";
import type { Opening } from "../db/sessions.ts";
import type { Credentials, User, UserKey } from "../db/users.ts";
import { type CallContext, unlessLeft } from "./call-context.ts";
import { AuthError } from "./errors.ts";
import { parseOptionalText, parseText, requireFields } from "./fields.ts";
import type { HashPlace } from "./hash-place.ts";
import { MAX_LOGIN_BYTES, parseLogin } from "./identifiers.ts";
import { parseGivenPassword } from "./password.ts";
import type { PasswordHashes } from "./password-hash.ts";
import type { Revocations } from "./revocations.ts";
import type { Throttle } from "./throttle.ts";
import type { IssuedTokens, IssueTokens } from "./tokens.ts";

/** Credentials, and the device they are given on. */
export interface SignIn {
  readonly login: string;
  readonly password: string;
  readonly deviceName: string;
  /** Any refresh token that the device ever got; "" and what is none say nothing. */
  readonly deviceToken: string;
  readonly fixedRefreshToken: boolean;
}

type Device = Pick<Opening, "deviceName" | "rotates" | "counted">;

/** The call, and its place among those whose passwords are hashed. */
interface Turn {
  readonly place: HashPlace;
  readonly context: CallContext;
}

const MAX_DEVICE_NAME = 100;

/** Compared with for an unknown login, at the same cost. */
const NOBODY: Credentials = {
  ...{ id: 0, username: "", email: "", emailConfirmed: false, isActive: false, roles: [], locale: "" },
  ...{ createdAt: new Date(0), lastSignInAt: null, passwordHash: null },
};

/** Checks a password and begins a session. */
export function createSignIn(
  config: Config,
  db: Database,
  hashes: PasswordHashes,
  throttle: Throttle,
  issueTokens: IssueTokens,
  revocations: Revocations,
) {
  const confirmationRequired = config.emailConfirmation === "required";
  // Told only of an address that had no account before, it would say so to whoever has just signed up with it.
  const unconfirmed = config.accountDisclosure === "hidden" ? "INVALID_CREDENTIALS" : "EMAIL_NOT_CONFIRMED";

  /** Only for who gave the right password: the address is told of before the block. */
  const requireUsable = (user: User): void => {
    if (confirmationRequired && !user.emailConfirmed) throw new AuthError(unconfirmed);
    if (!user.isActive) throw new AuthError("USER_BLOCKED");
  };

  /** Null when the account has changed since its password was read. */
  const open = async (found: Credentials, password: string, device: Device, { place, context }: Turn) => {
    const { id: userId, passwordHash } = found;
    if (!(await hashes.compare(password, passwordHash, place)) || passwordHash === null)
      throw new AuthError("INVALID_CREDENTIALS");
    requireUsable(found);
    const renewedHash = hashes.isOutdated(passwordHash) ? await hashes.hash(password, place) : null;
    const opening = { userId, passwordHash, renewedHash, confirmationRequired, ...device };
    return db.statement(({ sessions }) => sessions.open(opening, config, context));
  };

  const check = async (key: UserKey | null, password: string, device: Device, turn: Turn) => {
    // Twice at most: whatever changed the account while the password was hashed has won, and the new state is judged.
    for (let attempt = 1; attempt <= 2; attempt++) {
      const found = key && (await db.statement(unlessLeft(turn.context, ({ users }) => users.findCredentials(key))));
      if (found) turn.context.concerns({ userId: found.id });
      const opened = await open(found ?? NOBODY, password, device, turn);
      if (!opened) continue;
      revocations.add(opened.ended);
      return { user: opened.user, tokens: issueTokens(opened.grant) };
    }
    throw new AuthError("INVALID_CREDENTIALS");
  };

  return async (request: SignIn, context: CallContext): Promise<{ user: User; tokens: IssuedTokens }> => {
    const { login, password, device_name: deviceName } = parseSignIn(request);
    const rotates = !(request.fixedRefreshToken && config.fixedRefreshTokens);
    const key = parseLogin(login);
    const given = { login: key ? canonical(key) : login, deviceToken: request.deviceToken };
    context.concerns({ deviceName });
    await throttle.refuseReached.signIn(given, context);
    using place = hashes.admit(context);
    return await throttle.signIn(given, context, (counted) =>
      check(key, password, { deviceName, rotates, counted }, { place, context }),
    );
  };
}

function canonical(key: UserKey): string {
  return "emailKey" in key ? key.emailKey : key.usernameKey;
}

function parseSignIn({ login, password, deviceName }: SignIn) {
  return requireFields({
    login: () => parseText(login, { bytes: MAX_LOGIN_BYTES }),
    password: () => parseGivenPassword(password),
    device_name: () => parseOptionalText(deviceName, { codePoints: MAX_DEVICE_NAME }),
  });
}
