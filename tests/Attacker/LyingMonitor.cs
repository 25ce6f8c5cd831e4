using System.Buffers.Binary;
using System.Globalization;
using System.Text;
using System.Text.Json;
using WebVm.Vmm.Host;

namespace WebVm.Attacker;

/// <summary>
/// In the monitor's place, what a service hears of a monitor that was taken over: it speaks the control protocol, and lies. How, the
/// machine's name says. It prints a line for each request, which its keeper keeps for the test.
/// </summary>
internal static class LyingMonitor
{
    public const string Role = "serve";

    private const int LongestSpec = 1 << 20;
    private const int SlowMilliseconds = 2000;

    private static string s_conduct = "";

    /// <param name="arguments">As a monitor's: --handed FD=NAME among them.</param>
    public static int Serve(string[] arguments)
    {
        var handed = arguments.Where((_, index) => index > 0 && arguments[index - 1] == "--handed").Select(text => text.Split('=', 2))
            .ToDictionary(parts => parts[1], parts => int.Parse(parts[0], CultureInfo.InvariantCulture));
        using (var spec = new FileDescriptor(handed["spec"]))
        using (var json = JsonDocument.Parse(UntrustedFile.Read(spec, "spec", LongestSpec)))
        {
            s_conduct = json.RootElement.GetProperty("name").GetString()!;
        }

        using var listener = new FileDescriptor(handed["control"]);
        while (true)
        {
            var client = UnixSocket.Accept(listener);
            new Thread(() => Lie(client)) { IsBackground = true }.Start();
        }
    }

    private static void Lie(FileDescriptor socket)
    {
        using var stream = new DescriptorStream(socket);
        try
        {
            Send(stream, """{"protocol":"webvm-control","version":2,"machine":"liar","processId":1}""");
            byte[] header = new byte[4];
            while (true)
            {
                stream.ReadExactly(header);
                byte[] body = new byte[BinaryPrimitives.ReadInt32LittleEndian(header)];
                stream.ReadExactly(body);
                using var request = JsonDocument.Parse(body);
                string method = request.RootElement.GetProperty("method").GetString()!;
                Console.Out.WriteLine(method);
                Console.Out.Flush();
                Send(stream, $$"""{"id":{{request.RootElement.GetProperty("id")}},{{Answer(method)}},"descriptors":0}""");
                if (method == "serial-subscribe")
                {
                    Tell(stream);
                }

                if (s_conduct.StartsWith("slow", StringComparison.Ordinal) && method == "serial-write")
                {
                    Thread.Sleep(SlowMilliseconds);
                }
            }
        }
        catch (Exception gone) when (gone is IOException or LinuxException)
        {
            // The service has had enough.
        }
    }

    private static string Answer(string method) => method switch
    {
        "status" => """
            "result":{"name":"liar","state":"
            """ + (s_conduct.StartsWith("paused", StringComparison.Ordinal) ? "paused" : "running") + """
            ","engine":"soft","cpus":1,"memory":1,"time":1,"serialEnd":0}
            """,
        "metrics" => """
            "result":{"vcpus":[null],"unclaimedPorts":0,"unclaimedMmio":0}
            """,
        "serial-write" => """
            "result":{"written":-1}
            """,
        "save-files" => """
            "error":{"code":"failed","message":"one\u0000two
            """ + new string('x', 100_000) + "\"}",
        _ => """
            "result":{"items":[null]}
            """,
    };

    private static void Tell(DescriptorStream stream)
    {
        if (s_conduct.StartsWith("serial", StringComparison.Ordinal))
        {
            Send(stream, Serial(0, new string('x', 100)));
            foreach (long offset in (long[])[long.MinValue, -1, long.MaxValue, long.MaxValue - 8, 1L << 62])
            {
                Send(stream, Serial(offset, "y"));
            }
        }

        if (s_conduct.StartsWith("flood", StringComparison.Ordinal))
        {
            new Thread(() => Flood(stream)) { IsBackground = true }.Start();
        }
    }

    private static void Flood(DescriptorStream stream)
    {
        try
        {
            while (true)
            {
                Send(stream, """{"event":"state","data":{"state":"running"},"descriptors":0}""");
            }
        }
        catch (Exception gone) when (gone is IOException or LinuxException or ObjectDisposedException)
        {
            // Heard no more.
        }
    }

    private static string Serial(long offset, string text) =>
        $$$"""{"event":"serial","data":{"offset":{{{offset}}},"data":"{{{Convert.ToBase64String(
            Encoding.ASCII.GetBytes(text))}}}"},"descriptors":0}""";

    private static void Send(DescriptorStream stream, string json)
    {
        byte[] body = Encoding.UTF8.GetBytes(json.ReplaceLineEndings(""));
        byte[] frame = new byte[4 + body.Length];
        BinaryPrimitives.WriteInt32LittleEndian(frame, body.Length);
        body.CopyTo(frame, 4);
        lock (stream)
        {
            stream.Write(frame);
        }
    }
}
