// Runs in a viewer's page before its own scripts, and measures any viewer in the same way: what it draws on canvases that are in
// the document, what its sockets receive, and the time from a key to the first change of the screen's top line.
(() => {
  const topLine = 16;
  let frames = 0, bytes = 0, first = 0, last = 0;
  let drawn = false;
  let keyAt = 0, before = null, latencies = [];

  const topPixels = canvas => canvas.getContext("2d").getImageData(0, 0, canvas.width, topLine).data;
  const differ = (one, other) => one.some((value, at) => value !== other[at]);

  for (const method of ["putImageData", "drawImage"]) {
    const original = CanvasRenderingContext2D.prototype[method];
    CanvasRenderingContext2D.prototype[method] = function (...args) {
      original.apply(this, args);
      if (!this.canvas.isConnected) {
        return;
      }
      drawn = true;
      if (keyAt > 0 && differ(topPixels(this.canvas), before)) {
        latencies.push(performance.now() - keyAt);
        keyAt = 0;
      }
    };
  }

  const frame = now => {
    if (drawn) {
      drawn = false;
      frames++;
      first ||= now;
      last = now;
    }
    requestAnimationFrame(frame);
  };
  requestAnimationFrame(frame);

  window.WebSocket = new Proxy(WebSocket, {
    construct(target, args) {
      const socket = new target(...args);
      socket.addEventListener("message", message => bytes += message.data.byteLength ?? message.data.length ?? message.data.size);
      return socket;
    },
  });

  window.probe = {
    reset: () => { frames = bytes = first = last = 0; },
    look: () => ({ frames, bytes, milliseconds: last - first, idle: performance.now() - last }),
    watchKeys: () => {
      latencies = [];
      window.addEventListener("keydown", () => {
        before = topPixels(document.querySelector("canvas"));
        keyAt = performance.now();
      }, { capture: true });
    },
    answered: () => keyAt === 0,
    latencies: () => latencies,
    screen: () => {
      const canvas = document.querySelector("canvas");
      const pixels = new Uint32Array(canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data.buffer);
      let hash = 0, lit = 0;
      for (const pixel of pixels) {
        hash = (Math.imul(hash, 31) + pixel) | 0;
        lit += (pixel & 0xffffff) !== 0 ? 1 : 0;
      }
      return `${canvas.width}x${canvas.height}, ${lit} pixels lit, ${hash >>> 0}`;
    },
  };
})();
