import type { TestService } from "./service.ts";

/** What the header of an access token says, unchecked. */
export function headerOf({ accessToken }: { readonly accessToken: string }): { alg: string; kid: string; typ: string } {
  return JSON.parse(Buffer.from(accessToken.split(".")[0] ?? "", "base64url").toString());
}

/** The name of the key that signed an access token. */
export function kidOf(tokens: { readonly accessToken: string }): string {
  return headerOf(tokens).kid;
}

/** The names of the key pairs that a service accepts, in the order in which they come into use. */
export function kidsOf({ app }: Pick<TestService, "app">): string[] {
  return app.signingKeys.list().map(({ kid }) => kid);
}

/** A row of a signing key; times in milliseconds since 1970 by the database's clock. */
export interface StoredSigningKey {
  readonly id: string;
  readonly alg: string;
  readonly activeFrom: number;
  readonly retireAt: number | null;
}

/** Every row of a signing key, in the order in which they come into use. */
export function storedSigningKeys({ database }: Pick<TestService, "database">): Promise<StoredSigningKey[]> {
  const ms = (column: string) => `floor(extract(epoch FROM ${column}) * 1000)::float8`;
  return database.query<StoredSigningKey>(
    `SELECT id, alg, ${ms("active_from")} AS "activeFrom", ${ms("retire_at")} AS "retireAt" FROM keys
     WHERE purpose = 'sign_access' ORDER BY active_from, id`,
  );
}
