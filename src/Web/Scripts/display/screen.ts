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

/** A frame that has arrived. The layout is described at FrameWriter on the server. */
export interface Frame {
  readonly number: number;
  readonly data: Uint8Array;
  readonly width: number;
  readonly height: number;
  readonly size: number;
  /** Milliseconds from the guest's change to the viewer's acknowledgement, of an earlier frame. */
  readonly latency: number;
  /** Number of tiles without loss, from `headerBytes` on. */
  readonly exact: number;
  /** Tiles with loss, which a picture shows one below the other. */
  readonly lossy: readonly number[];
  readonly picture: ImageBitmap | null;
}

/** Reads a frame, and decodes the picture in it, if there is one. */
export function readFrame(data: Uint8Array): Frame | Promise<Frame> {
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  const exact = view.getUint16(12, true);
  const frame = {
    number: view.getUint32(0, true), data, width: view.getUint16(4, true), height: view.getUint16(6, true), size: view.getUint16(8, true),
    latency: view.getUint16(10, true), exact, lossy: [], picture: null,
  };
  const count = view.getUint16(14, true);
  if (count === 0) {
    return frame;
  }
  let at = headerBytes;
  for (let i = 0; i < exact; i++) {
    at += 4 + view.getUint16(at + 2, true);
  }
  const lossy = Array.from({ length: count }, (_, i) => view.getUint16(at + 2 * i, true));
  const file = new Blob([data.slice(at + 2 * count)], { type: "image/jpeg" });
  // Without the picture there is the rest, and soon all without loss.
  return createImageBitmap(file).then(picture => ({ ...frame, lossy, picture }), () => frame);
}

/** Draws frames of tiles into a canvas. */
export class Screen {
  private readonly context: CanvasRenderingContext2D;
  private readonly sized = new ResizeObserver(() => this.sharpen());
  private readonly scratch = new Uint8Array(64 * 64 * 4);
  private readonly scratchColours = new Uint32Array(this.scratch.buffer);
  private readonly palette = new Uint32Array(16);
  private readonly lossy = new Set<number>();
  private image: ImageData | null = null;
  private pixels = new Uint32Array(0);

  constructor(readonly canvas: HTMLCanvasElement, private readonly resized: (width: number, height: number) => void) {
    this.context = canvas.getContext("2d", { alpha: false, desynchronized: true })!;
    this.sized.observe(canvas);
  }

  dispose(): void {
    this.sized.disconnect();
  }

  /** Tiles that are shown with loss. */
  get lossyTiles(): number {
    return this.lossy.size;
  }

  paint(frame: Frame): void {
    const { data, width, height, size, picture } = frame;
    const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
    this.resize(width, height);
    const columns = Math.ceil(width / size);
    let at = headerBytes;
    for (let i = 0; i < frame.exact; i++) {
      const index = view.getUint16(at, true);
      const length = view.getUint16(at + 2, true);
      const x = (index % columns) * size;
      const y = Math.floor(index / columns) * size;
      this.draw(data, at + 4, at + 4 + length, x, y, Math.min(size, width - x), Math.min(size, height - y));
      this.lossy.delete(index);
      at += 4 + length;
    }
    if (picture) {
      frame.lossy.forEach((index, i) => {
        const x = (index % columns) * size;
        const y = Math.floor(index / columns) * size;
        const [across, down] = [Math.min(size, width - x), Math.min(size, height - y)];
        this.context.drawImage(picture, 0, i * size, across, down, x, y, across, down);
        this.lossy.add(index);
      });
      picture.close();
    }
  }

  private resize(width: number, height: number): void {
    if (this.image?.width === width && this.image.height === height) {
      return;
    }
    this.canvas.width = width;
    this.canvas.height = height;
    this.image = this.context.createImageData(width, height);
    this.pixels = new Uint32Array(this.image.data.buffer).fill(opaque);
    this.lossy.clear();
    this.sharpen();
    this.resized(width, height);
  }

  /** Where a pixel of the guest covers whole pixels of the viewer's screen, its edges stay sharp; else it is smoothed. */
  private sharpen(): void {
    const scale = (this.canvas.clientWidth * devicePixelRatio) / this.canvas.width;
    this.canvas.style.imageRendering = scale > 0.99 && Math.abs(scale - Math.round(scale)) < 0.01 ? "pixelated" : "auto";
  }

  private draw(data: Uint8Array, at: number, end: number, x: number, y: number, width: number, height: number): void {
    switch (data[at]) {
      case Encoding.Solid:
        this.fill(colour(data, at + 1), x, y, width, height);
        break;
      case Encoding.Palette:
        this.drawPalette(data, at + 1, end, x, y, width, height);
        break;
      case Encoding.Compressed:
        decodeLz4(data, at + 1, end, this.scratch);
        this.drawColours(x, y, width, height);
        break;
      case Encoding.Raw:
        for (let from = at + 1, to = 0; from < end; from++, to++) {
          this.scratch[to] = data[from];
        }
        this.drawColours(x, y, width, height);
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

  private drawPalette(data: Uint8Array, at: number, end: number, x: number, y: number, width: number, height: number): void {
    const colours = data[at];
    for (let i = 0; i < colours; i++) {
      this.palette[i] = colour(data, at + 1 + 4 * i);
    }
    const bits = colours <= 2 ? 1 : colours <= 4 ? 2 : 4;
    const perByte = 8 / bits;
    const mask = (1 << bits) - 1;
    decodeLz4(data, at + 1 + 4 * colours, end, this.scratch);
    const stride = this.image!.width;
    for (let line = 0, i = 0; line < height; line++) {
      let target = (y + line) * stride + x;
      for (let column = 0; column < width; column++, i++) {
        this.pixels[target++] = this.palette[(this.scratch[(i / perByte) | 0] >> ((i % perByte) * bits)) & mask];
      }
    }
  }

  private drawColours(x: number, y: number, width: number, height: number): void {
    const stride = this.image!.width;
    for (let line = 0, i = 0; line < height; line++) {
      let target = (y + line) * stride + x;
      for (let column = 0; column < width; column++, i++) {
        const value = this.scratchColours[i];
        this.pixels[target++] = opaque | ((value & 0xff) << 16) | (value & 0xff00) | ((value >> 16) & 0xff);
      }
    }
  }
}

/** From the guest's blue, green, red to the canvas's red, green, blue, opaque. */
function colour(bytes: Uint8Array, at: number): number {
  return opaque | (bytes[at] << 16) | (bytes[at + 1] << 8) | bytes[at + 2];
}
