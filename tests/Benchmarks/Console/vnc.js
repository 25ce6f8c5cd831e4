// The viewer that one would use with QEMU's VNC server: noVNC as it comes.
import RFB from "@novnc/novnc";

window.openVnc = address => {
  const rfb = new RFB(document.getElementById("screen"), address);
  rfb.addEventListener("connect", () => {
    rfb.focus();
    document.documentElement.dataset.connected = "true";
  });
};
