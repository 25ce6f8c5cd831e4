import { decodeLz4 } from "./lz4";

/** How a tile is written; the same numbers as TileEncoding on the server. */
const enum Encoding {
  Solid = 0,
  Palette = 1,
  Compressed = 2,
  Raw = 3,
}

const opaque = 0xff000000;
const headerBytes = 16;

/** What a frame said about itself. */
export interface FrameInfo {
  readonly frame: number;
  readonly bytes: number;
  readonly tiles: number;
  /** Milliseconds from the guest's change to the viewer's acknowledgement, of an earlier frame. */
  readonly latency: number;
}

/** Draws frames of tiles into a canvas. */
export class Screen {
  private readonly context: CanvasRenderingContext2D;
  private image: ImageData | null = null;
  private pixels = new Uint32Array(0);
  private readonly scratch = new Uint8Array(64 * 64 * 4);

  constructor(readonly canvas: HTMLCanvasElement, private readonly resized: (width: number, height: number) => void) {
    this.context = canvas.getContext("2d", { alpha: false, desynchronized: true })!;
  }

  /** Paints one frame. The layout is described at FrameWriter on the server. */
  paint(data: Uint8Array): FrameInfo {
    const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
    const frame = view.getUint32(0, true);
    const width = view.getUint16(4, true);
    const height = view.getUint16(6, true);
    const size = view.getUint16(8, true);
    const latency = view.getUint16(10, true);
    const tiles = view.getUint16(12, true);
    this.resize(width, height);
    const columns = Math.ceil(width / size);
    let at = headerBytes;
    for (let i = 0; i < tiles; i++) {
      const index = view.getUint16(at, true);
      const length = view.getUint16(at + 2, true);
      const x = (index % columns) * size;
      const y = Math.floor(index / columns) * size;
      this.draw(data.subarray(at + 4, at + 4 + length), x, y, Math.min(size, width - x), Math.min(size, height - y));
      at += 4 + length;
    }
    return { frame, bytes: data.byteLength, tiles, latency };
  }

  private resize(width: number, height: number): void {
    if (this.image?.width === width && this.image.height === height) {
      return;
    }
    this.canvas.width = width;
    this.canvas.height = height;
    this.image = this.context.createImageData(width, height);
    this.pixels = new Uint32Array(this.image.data.buffer).fill(opaque);
    this.resized(width, height);
  }

  private draw(data: Uint8Array, x: number, y: number, width: number, height: number): void {
    switch (data[0]) {
      case Encoding.Solid:
        this.fill(colour(data, 1), x, y, width, height);
        break;
      case Encoding.Palette:
        this.drawPalette(data, x, y, width, height);
        break;
      case Encoding.Compressed:
        decodeLz4(data.subarray(1), this.scratch);
        this.drawColours(this.scratch, x, y, width, height);
        break;
      case Encoding.Raw:
        this.drawColours(data.subarray(1), x, y, width, height);
        break;
    }
    this.context.putImageData(this.image!, 0, 0, x, y, width, height);
  }

  private fill(value: number, x: number, y: number, width: number, height: number): void {
    const stride = this.image!.width;
    for (let line = 0; line < height; line++) {
      const start = (y + line) * stride + x;
      this.pixels.fill(value, start, start + width);
    }
  }

  private drawPalette(data: Uint8Array, x: number, y: number, width: number, height: number): void {
    const colours = data[1];
    const palette = new Uint32Array(16);
    for (let i = 0; i < colours; i++) {
      palette[i] = colour(data, 2 + 4 * i);
    }
    const bits = colours <= 2 ? 1 : colours <= 4 ? 2 : 4;
    const perByte = 8 / bits;
    const mask = (1 << bits) - 1;
    decodeLz4(data.subarray(2 + 4 * colours), this.scratch);
    const stride = this.image!.width;
    for (let line = 0, i = 0; line < height; line++) {
      let target = (y + line) * stride + x;
      for (let column = 0; column < width; column++, i++) {
        this.pixels[target++] = palette[(this.scratch[(i / perByte) | 0] >> ((i % perByte) * bits)) & mask];
      }
    }
  }

  private drawColours(bytes: Uint8Array, x: number, y: number, width: number, height: number): void {
    const stride = this.image!.width;
    for (let line = 0, i = 0; line < height; line++) {
      let target = (y + line) * stride + x;
      for (let column = 0; column < width; column++, i += 4) {
        this.pixels[target++] = colour(bytes, i);
      }
    }
  }
}

/** From the guest's blue, green, red to the canvas's red, green, blue, opaque. */
function colour(bytes: Uint8Array, at: number): number {
  return (opaque | (bytes[at] << 16) | (bytes[at + 1] << 8) | bytes[at + 2]) >>> 0;
}
