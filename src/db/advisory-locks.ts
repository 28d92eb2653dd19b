/** Held by the process that migrates. */
export const MIGRATION_LOCK = 7_217_000;

/** Held by who may take away an admin. */
export const ADMINS_LOCK = 7_217_001;

/** Held by the process that makes keys. */
export const KEYS_LOCK = 7_217_002;

/** Held by who changes a username. */
export const NAMES_LOCK = 7_217_003;

/** Seed of the locks that are held on e-mail addresses: one of 2^64 for each. */
export const ADDRESS_LOCKS = 7_217_004;
