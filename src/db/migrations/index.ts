import { accounts } from "./0001-accounts.ts";
import { serviceKeys } from "./0002-service-keys.ts";
import { refreshSession } from "./0003-refresh-session.ts";
import { throttle } from "./0004-throttle.ts";
import { auditEvents } from "./0005-audit-events.ts";
import { cleanUp } from "./0006-clean-up.ts";
import { hiddenAccounts } from "./0007-hidden-accounts.ts";
import { openSession } from "./0008-open-session.ts";

/** Every migration in order: a name that never changes, and SQL that runs once. */
export const migrations: readonly { readonly name: string; readonly sql: string }[] = [
  { name: "0001-accounts", sql: accounts },
  { name: "0002-service-keys", sql: serviceKeys },
  { name: "0003-refresh-session", sql: refreshSession },
  { name: "0004-throttle", sql: throttle },
  { name: "0005-audit-events", sql: auditEvents },
  { name: "0006-clean-up", sql: cleanUp },
  { name: "0007-hidden-accounts", sql: hiddenAccounts },
  { name: "0008-open-session", sql: openSession },
];
