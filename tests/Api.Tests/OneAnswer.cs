using System.Net;
using System.Net.Sockets;
using System.Text;

namespace WebVm.Api.Tests;

/// <summary>A server on 127.0.0.1 that answers every connection with the same bytes, right or wrong.</summary>
internal sealed class OneAnswer : IDisposable
{
    private readonly TcpListener _listener = new(IPAddress.Loopback, 0);
    private int _requests;

    /// <param name="answer">Given the server's port.</param>
    /// <param name="hold">Whoever asks before it completes is kept waiting.</param>
    public OneAnswer(Func<int, string> answer, Task? hold = null)
    {
        _listener.Start();
        byte[] bytes = Encoding.ASCII.GetBytes(answer(Port));
        _ = ServeAsync(bytes, hold ?? Task.CompletedTask);
    }

    public int Requests => Volatile.Read(ref _requests);

    public string Url => $"http://127.0.0.1:{Port}/image";

    private int Port => ((IPEndPoint)_listener.LocalEndpoint).Port;

    public void Dispose() => _listener.Dispose();

    private async Task ServeAsync(byte[] answer, Task hold)
    {
        try
        {
            while (true)
            {
                _ = AnswerAsync(await _listener.AcceptTcpClientAsync(), answer, hold);
            }
        }
        catch (Exception over) when (over is SocketException or ObjectDisposedException)
        {
            // The test is over.
        }
    }

    private async Task AnswerAsync(TcpClient client, byte[] answer, Task hold)
    {
        try
        {
            using var connection = client;
            var stream = connection.GetStream();
            _ = await stream.ReadAsync(new byte[8192]);
            Interlocked.Increment(ref _requests);
            await hold;
            await stream.WriteAsync(answer);
        }
        catch (Exception gone) when (gone is SocketException or IOException)
        {
            // The client has seen enough.
        }
    }
}
