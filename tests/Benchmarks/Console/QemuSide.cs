using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using Microsoft.Playwright;

namespace WebVm.Benchmarks.Console;

/// <summary>
/// QEMU's VNC server with its own WebSocket, seen through noVNC. UEFI gives the same kernel the same kind of framebuffer that WebVm gives
/// it.
/// </summary>
internal sealed class QemuSide : IConsoleSide
{
    private const string Page = "<!doctype html><body style='margin:0'><div id='screen'></div><script type='module' src='vnc.js'></script>";
    private const string Firmware = "/usr/share/ovmf/OVMF.fd";

    private readonly Process _process;
    private readonly Socket _serial;
    private readonly int _port;
    private readonly HttpListener _pages = new();

    private QemuSide(Process process, Socket serial, GuestShell shell, int port)
    {
        (_process, _serial, Shell, _port) = (process, serial, shell, port);
    }

    public string Name => "QEMU";

    public GuestShell Shell { get; }

    public static async Task<QemuSide> StartAsync()
    {
        string image = Path.Combine(Guests.Catalogue, "tiny");
        using var listener = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        listener.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        listener.Listen();
        int port = FreePort();
        string[] arguments =
        [
            "-name", "bench,debug-threads=on", "-accel", "tcg", "-m", $"{ConsoleGuest.Memory >> 20}M", "-nodefaults", "-no-reboot", "-bios",
            Firmware,
            "-device", $"VGA,xres={ConsoleGuest.Width},yres={ConsoleGuest.Height}", "-vnc", $"127.0.0.1:0,to=99,websocket=127.0.0.1:{port}",
            "-serial", $"tcp:127.0.0.1:{((IPEndPoint)listener.LocalEndPoint!).Port}",
            "-kernel", Path.Combine(image, "vmlinuz"), "-initrd", Path.Combine(image, "initramfs"), "-append", ConsoleGuest.CommandLine,
        ];
        var process = Process.Start(new ProcessStartInfo("qemu-system-x86_64", arguments) { RedirectStandardError = true })!;
        var accepting = listener.AcceptAsync();
        if (await Task.WhenAny(accepting, process.WaitForExitAsync()) != accepting)
        {
            throw new InvalidOperationException($"QEMU ended at once: {await process.StandardError.ReadToEndAsync()}");
        }

        var serial = await accepting;
        try
        {
            var stream = new NetworkStream(serial);
            var shell = new GuestShell(stream, async text => await stream.WriteAsync(System.Text.Encoding.ASCII.GetBytes(text)));
            await shell.ReadyAsync();
            return new QemuSide(process, serial, shell, port);
        }
        catch
        {
            process.Kill();
            throw;
        }
    }

    public async Task ShowAsync(IPage page)
    {
        string address = $"http://127.0.0.1:{FreePort()}/";
        _pages.Prefixes.Add(address);
        _pages.Start();
        _ = ServeAsync();
        await page.GotoAsync(address);
        await page.WaitForFunctionAsync("() => window.openVnc");
        await page.EvaluateAsync("address => openVnc(address)", $"ws://127.0.0.1:{_port}/");
        await page.WaitForFunctionAsync("() => document.documentElement.dataset.connected");
    }

    public (double All, double Guest) CpuSeconds() => (HostProcess.CpuSeconds(_process.Id), HostProcess.CpuSeconds(_process.Id, "CPU "));

    public async ValueTask DisposeAsync()
    {
        _process.Kill();
        await _process.WaitForExitAsync();
        _process.Dispose();
        _serial.Dispose();
        _pages.Close();
    }

    /// <summary>The viewer's page and script, from this host: browsers keep pages from elsewhere away from local sockets.</summary>
    private async Task ServeAsync()
    {
        try
        {
            while (true)
            {
                var context = await _pages.GetContextAsync();
                bool script = context.Request.Url?.AbsolutePath == "/vnc.js";
                context.Response.ContentType = script ? "text/javascript" : "text/html";
                context.Response.Close(
                    script ? await File.ReadAllBytesAsync(
                        Path.Combine(AppContext.BaseDirectory, "vnc.js")) : System.Text.Encoding.ASCII.GetBytes(Page),
                    willBlock: false);
            }
        }
        catch (Exception closed) when (closed is HttpListenerException or ObjectDisposedException)
        {
            // The measurement is over.
        }
    }

    private static int FreePort()
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        return ((IPEndPoint)listener.LocalEndpoint).Port;
    }
}
