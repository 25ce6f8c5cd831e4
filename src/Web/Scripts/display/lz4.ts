/** Decodes one LZ4 block (lz4, doc/lz4_Block_format.md), `input` from `read` to its end, into `output`; returns the bytes written. Throws RangeError on a malformed block. */
export function decodeLz4(input: Uint8Array, read: number, end: number, output: Uint8Array): number {
  let written = 0;
  while (read < end) {
    const token = input[read++];
    let literals = token >> 4;
    if (literals === 15) {
      let more;
      do {
        more = input[read++];
        literals += more;
      } while (more === 255);
    }
    // Also false when a length ran beyond the input, and is no number.
    if (!(read + literals <= end && written + literals <= output.length)) {
      throw new RangeError("LZ4: literals out of range");
    }
    for (const stop = read + literals; read < stop;) {
      output[written++] = input[read++];
    }
    if (read >= end) {
      break;
    }

    const offset = input[read] | (input[read + 1] << 8);
    read += 2;
    let match = (token & 15) + 4;
    if (match === 19) {
      let more;
      do {
        more = input[read++];
        match += more;
      } while (more === 255);
    }
    if (!(read <= end && offset !== 0 && offset <= written && written + match <= output.length)) {
      throw new RangeError("LZ4: match out of range");
    }
    // Byte by byte where the match overlaps what it writes: that is how runs are encoded.
    if (offset >= match) {
      output.copyWithin(written, written - offset, written - offset + match);
      written += match;
    } else {
      for (const stop = written + match; written < stop; written++) {
        output[written] = output[written - offset];
      }
    }
  }
  return written;
}
