const unhandled: unknown[] = [];

/** Fails who leaves a rejection that nobody handles: it would end the service, and mocha alone passes over it. */
export const mochaHooks = {
  beforeAll(): void {
    process.on("unhandledRejection", remember);
  },
  afterEach: failIfAny,
  afterAll: failIfAny,
};

function remember(reason: unknown): void {
  unhandled.push(reason);
}

function failIfAny(): void {
  const [reason] = unhandled.splice(0);
  if (reason !== undefined) throw reason;
}
