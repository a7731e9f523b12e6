import { randomUUID } from "node:crypto";
import { open, rename, rm } from "node:fs/promises";

/**
 * Writes a file that other processes see complete or not at all: the chunks go to a temporary neighbour, reach the
 * disk, and the neighbour is renamed. On failure or abort the neighbour is removed and what stood at `path` remains.
 */
export async function writeFileAtomic(path: string, chunks: Iterable<Uint8Array>): Promise<void> {
  const neighbour = `${path}.${randomUUID()}.part`;
  const file = await open(neighbour, "wx");
  try {
    try {
      for (const chunk of chunks) {
        for (let done = 0; done < chunk.byteLength; ) done += (await file.write(chunk, done)).bytesWritten;
      }
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(neighbour, path);
  } catch (error) {
    await rm(neighbour, { force: true });
    throw error;
  }
}
