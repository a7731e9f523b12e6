/** Why a file could not be read or written, without the name and the call that Node.js repeats. */
export function reasonOf(error: unknown): string {
  const { message } = error as Error;
  return /^E[A-Z\d]+: (.+?), \w+(?: '.*)?$/s.exec(message)?.[1] ?? message;
}

/** What the system refused, in a line; undefined for any other error. */
export function fileTrouble(error: unknown): string | undefined {
  const { syscall, path, code } = error as NodeJS.ErrnoException;
  return syscall === undefined || path === undefined || code === undefined
    ? undefined
    : `cannot ${syscall} ${path || "a file without a name"}: ${reasonOf(error)}`;
}
