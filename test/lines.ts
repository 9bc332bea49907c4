// The lines that a child process prints, one at a time.

export class Lines {
  readonly #chunks: AsyncIterator<Uint8Array>;
  readonly #decoder = new TextDecoder();
  #text = "";

  constructor(stream: ReadableStream<Uint8Array>) {
    this.#chunks = stream[Symbol.asyncIterator]();
  }

  /** The next whole line; null when the process has ended. */
  async next(): Promise<string | null> {
    while (!this.#text.includes("\n")) {
      const { done, value } = await this.#chunks.next();
      if (done) return null;
      this.#text += this.#decoder.decode(value, { stream: true });
    }
    const end = this.#text.indexOf("\n");
    const line = this.#text.slice(0, end);
    this.#text = this.#text.slice(end + 1);
    return line;
  }

  /** Takes what came after the last whole line. */
  takeRest(): string {
    const rest = this.#text;
    this.#text = "";
    return rest;
  }
}
