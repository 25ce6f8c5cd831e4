using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Net.Sockets;

namespace WebVm.Vmm.Tests.Confinement;

/// <summary>What there is on the host for an attacker to reach: files, sockets and a process of the service's account.</summary>
internal sealed class AttackedHost : IDisposable
{
    /// <summary>Of the service where it is not root.</summary>
    public const int Account = 1654;

    /// <summary>What is in front of a program that runs as that account, without capabilities.</summary>
    public static string[] AsAccount { get; } = ["setpriv", "--reuid", $"{Account}", "--regid", $"{Account}", "--clear-groups",
        "--bounding-set=-all", "--inh-caps=-all"];

    private readonly string _folder = Directory.CreateTempSubdirectory("webvm-attacked").FullName;
    private readonly List<Socket> _sockets = [];
    private readonly Process _victim;
    private int _runs;

    public AttackedHost()
    {
        File.SetUnixFileMode(_folder, (UnixFileMode)0b111_111_111);
        string secret = Path.Combine(_folder, "secret");
        File.WriteAllText(secret, "of the service");
        string handed = Path.Combine(_folder, "handed");
        File.WriteAllText(handed, "to the monitor");
        Own(secret, "600");
        Own(handed, "644");
        string world = Directory.CreateDirectory(Path.Combine(_folder, "world")).FullName;
        File.SetUnixFileMode(world, (UnixFileMode)0b001_111_111_111);
        string name = $"webvm-attacked-{Guid.NewGuid():n}";
        var port = Listen(new IPEndPoint(IPAddress.Loopback, 0));
        string socket = Path.Combine(world, "socket");
        Listen(new UnixDomainSocketEndPoint(socket));
        File.SetUnixFileMode(socket, (UnixFileMode)0b111_111_111);
        Listen(new UnixDomainSocketEndPoint('\0' + name));
        _victim = Process.Start("setpriv", ["--reuid", $"{Account}", "--regid", $"{Account}", "--clear-groups", "sleep", "1000"]);
        HandedFile = handed;
        Facts =
        [
            $"secret={secret}", $"socket={socket}", $"abstract={name}", $"victim={_victim.Id}", "handed=4", $"folder={world}",
            string.Create(CultureInfo.InvariantCulture, $"port={((IPEndPoint)port.LocalEndPoint!).Port}"),
        ];
    }

    public string HandedFile { get; }

    public IReadOnlyList<string> Facts { get; }

    /// <summary>A folder for a run, of the service's account or root's.</summary>
    public string NewRun(bool root)
    {
        string run = Directory.CreateDirectory(Path.Combine(_folder, $"run{Interlocked.Increment(ref _runs)}")).FullName;
        File.SetUnixFileMode(run, (UnixFileMode)0b111_000_000);
        if (!root)
        {
            Own(run, "700");
        }

        return run;
    }

    public void Dispose()
    {
        _victim.Kill();
        _victim.WaitForExit();
        _victim.Dispose();
        _sockets.ForEach(socket => socket.Dispose());
        Directory.Delete(_folder, recursive: true);
    }

    private static void Own(string path, string mode)
    {
        using var chown = Process.Start("chown", [$"{Account}:{Account}", path]);
        chown.WaitForExit();
        using var chmod = Process.Start("chmod", [mode, path]);
        chmod.WaitForExit();
    }

    private Socket Listen(EndPoint address)
    {
        var socket = new Socket(address.AddressFamily, SocketType.Stream, ProtocolType.Unspecified);
        socket.Bind(address);
        socket.Listen(512);
        _sockets.Add(socket);
        return socket;
    }
}
