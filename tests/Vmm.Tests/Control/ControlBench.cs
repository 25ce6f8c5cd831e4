using System.Buffers.Binary;
using System.Net.Sockets;
using System.Text.Json;
using WebVm.Vmm.Control;
using WebVm.Vmm.Tests.Machine;

namespace WebVm.Vmm.Tests.Control;

/// <summary>A scripted machine whose control socket is served, and clients for it.</summary>
internal sealed class ControlBench : IDisposable
{
    private static readonly TimeSpan s_limit = TimeSpan.FromMinutes(2);

    /// <param name="size">Guest memory in bytes.</param>
    public ControlBench(ulong size = 4 << 20)
    {
        Scripted = new ScriptedMachine(cpus: 2, size);
        Server = new ControlServer(Scripted.Machine, SocketPath);
    }

    public string Folder { get; } = Directory.CreateTempSubdirectory("webvm-control").FullName;

    public string SocketPath => Path.Combine(Folder, "control");

    public ScriptedMachine Scripted { get; }

    public ControlServer Server { get; }

    public async Task<ControlClient> Connect(Action<string, JsonElement>? handler = null)
    {
        // Clients that broke the rules may still occupy places for a moment.
        for (long start = Environment.TickCount64; ;)
        {
            try
            {
                var client = await ControlClient.ConnectAsync(SocketPath).WaitAsync(s_limit);
                client.Event += handler;
                return client.Start();
            }
            catch (ControlProtocolException) when (Environment.TickCount64 - start < s_limit.TotalMilliseconds)
            {
                await Task.Delay(20);
            }
        }
    }

    /// <summary>A connection without a client's manners.</summary>
    public Socket Raw()
    {
        var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        socket.Connect(new UnixDomainSocketEndPoint(SocketPath));
        return socket;
    }

    public static void Send(Socket socket, byte[] json)
    {
        var frame = new byte[4 + json.Length];
        BinaryPrimitives.WriteInt32LittleEndian(frame, json.Length);
        json.CopyTo(frame, 4);
        socket.Send(frame);
    }

    public void Dispose()
    {
        Server.Dispose();
        Scripted.Dispose();
        Directory.Delete(Folder, recursive: true);
    }
}
