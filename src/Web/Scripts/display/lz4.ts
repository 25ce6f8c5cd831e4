/** Decodes one LZ4 block (lz4, doc/lz4_Block_format.md) into `output`; returns the bytes written. Throws RangeError on a malformed block. */
export function decodeLz4(input: Uint8Array, output: Uint8Array): number {
  let read = 0;
  let written = 0;
  const length = (first: number): number => {
    let total = first;
    if (first === 15) {
      let next;
      do {
        next = input[read++];
        total += next;
      } while (next === 255);
    }
    return total;
  };

  while (read < input.length) {
    const token = input[read++];
    const literals = length(token >> 4);
    if (read + literals > input.length || written + literals > output.length) {
      throw new RangeError("LZ4: literals out of range");
    }
    output.set(input.subarray(read, read + literals), written);
    read += literals;
    written += literals;
    if (read >= input.length) {
      break;
    }

    const offset = input[read] | (input[read + 1] << 8);
    read += 2;
    const match = length(token & 15) + 4;
    if (offset === 0 || offset > written || written + match > output.length) {
      throw new RangeError("LZ4: match out of range");
    }
    // Byte by byte where the match overlaps what it writes: that is how runs are encoded.
    if (offset >= match) {
      output.copyWithin(written, written - offset, written - offset + match);
      written += match;
    } else {
      for (const end = written + match; written < end; written++) {
        output[written] = output[written - offset];
      }
    }
  }
  return written;
}
