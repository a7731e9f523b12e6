import type { DType, Tensor } from "../tensor/index.js";
import { bytesPerElement, sizeOf } from "../tensor/index.js";

/** Where resident tensors live. */
export interface ResidentStore {
  read(id: number): Promise<Tensor>;
  /** Called once per tensor. */
  free(id: number, byteLength: number): void;
}

const collected = new FinalizationRegistry<{ store: ResidentStore; id: number; byteLength: number }>(
  ({ store, id, byteLength }) => store.free(id, byteLength),
);

/**
 * A tensor that lives where sessions run and is fed back without copying: weights, optimizer moments, a latent
 * between two steps. Dispose of it when done; garbage collection is only the safety net.
 */
export class ResidentTensor {
  readonly dtype: DType;
  readonly shape: readonly number[];
  /** @internal */
  readonly store: ResidentStore;
  /** @internal */
  readonly id: number;
  #disposed = false;

  /** @internal Made by a backend. */
  constructor(store: ResidentStore, id: number, dtype: DType, shape: readonly number[]) {
    this.store = store;
    this.id = id;
    this.dtype = dtype;
    this.shape = shape;
    collected.register(this, { store, id, byteLength: this.byteLength }, this);
  }

  get size(): number {
    return sizeOf(this.shape);
  }

  get byteLength(): number {
    return this.size * bytesPerElement(this.dtype);
  }

  get disposed(): boolean {
    return this.#disposed;
  }

  /** A copy of the values. @throws TypeError after `dispose` */
  read(): Promise<Tensor> {
    if (this.#disposed) return Promise.reject(new TypeError(`ResidentTensor.read: ${this} was disposed; read it before`));
    return this.store.read(this.id);
  }

  /** Frees the memory after the runs that were asked for before. Doing it twice does no harm. */
  dispose(): void {
    if (this.#disposed) return;
    this.#disposed = true;
    collected.unregister(this);
    this.store.free(this.id, this.byteLength);
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  toString(): string {
    return `ResidentTensor(${this.dtype}[${this.shape.join(", ")}])`;
  }
}
