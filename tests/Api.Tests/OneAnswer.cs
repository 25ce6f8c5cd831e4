using System.Net;
using System.Net.Sockets;
using System.Text;

namespace WebVm.Api.Tests;

/// <summary>A server on 127.0.0.1 that answers every connection with the same bytes, right or wrong.</summary>
internal sealed class OneAnswer : IDisposable
{
    private readonly TcpListener _listener = new(IPAddress.Loopback, 0);
    private int _requests;

    public OneAnswer(Func<int, string> answer)
    {
        _listener.Start();
        byte[] bytes = Encoding.ASCII.GetBytes(answer(Port));
        _ = ServeAsync(bytes);
    }

    public int Requests => Volatile.Read(ref _requests);

    public string Url => $"http://127.0.0.1:{Port}/image";

    private int Port => ((IPEndPoint)_listener.LocalEndpoint).Port;

    public void Dispose() => _listener.Dispose();

    private async Task ServeAsync(byte[] answer)
    {
        try
        {
            while (true)
            {
                using var client = await _listener.AcceptTcpClientAsync();
                Interlocked.Increment(ref _requests);
                var stream = client.GetStream();
                _ = await stream.ReadAsync(new byte[8192]);
                await stream.WriteAsync(answer);
            }
        }
        catch (Exception over) when (over is SocketException or IOException or ObjectDisposedException)
        {
            // The test is over, or its client has seen enough.
        }
    }
}
