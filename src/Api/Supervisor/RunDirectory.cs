using System.Globalization;
using System.Text;
using WebVm.Vmm.Host;

namespace WebVm.Api.Supervisor;

/// <summary>
/// The folder of one run of a monitor: everything by which a service, this one or the next, finds the process again. Kept short,
/// because a Unix socket's path has at most 107 bytes (unix(7)).
/// </summary>
/// <remarks>The monitor may write there, and its guest may have taken it over: what lies in the folder is read as from a stranger.</remarks>
public sealed class RunDirectory(string root, string runId)
{
    public string Path { get; } = System.IO.Path.Combine(root, runId);

    /// <summary>The control socket.</summary>
    public string Control => System.IO.Path.Combine(Path, "control");

    /// <summary>The machine spec that the monitor was started with.</summary>
    public string Spec => System.IO.Path.Combine(Path, "machine.json");

    /// <summary>What the monitor printed.</summary>
    public string Log => System.IO.Path.Combine(Path, "monitor.log");

    /// <summary>Held locked by the monitor and its shell as long as either lives.</summary>
    public string Lock => System.IO.Path.Combine(Path, "lock");

    /// <summary>Process id of the session's leader.</summary>
    public string Session => System.IO.Path.Combine(Path, "session");

    /// <summary>The monitor's exit code, once it has ended.</summary>
    public string Exit => System.IO.Path.Combine(Path, "exit");

    public bool Launched => File.Exists(Session);

    /// <summary>A name for a new run.</summary>
    public static string NewId() => Guid.NewGuid().ToString("N")[..12];

    /// <summary>Null while the monitor has not reported its end.</summary>
    public int? ReadExitCode() => ReadNumber(Exit);

    /// <summary>Whether the monitor, or the shell that will report its end, is there.</summary>
    public bool IsAlive()
    {
        try
        {
            // FileShare.None takes flock(2); it fails while the monitor holds it.
            using var probe = new FileStream(Lock, FileMode.Open, FileAccess.ReadWrite, FileShare.None);
            return false;
        }
        catch (FileNotFoundException)
        {
            return false;
        }
        catch (DirectoryNotFoundException)
        {
            return false;
        }
        catch (IOException)
        {
            return true;
        }
    }

    public int? ReadSession() => ReadNumber(Session);

    /// <summary>The end of what the monitor printed, for a message.</summary>
    public string LogTail(int bytes = 400)
    {
        try
        {
            return Encoding.UTF8.GetString(UntrustedFile.ReadEnd(Log, bytes)).Trim();
        }
        catch (InvalidDataException)
        {
            return "";
        }
    }

    public void Delete()
    {
        if (Directory.Exists(Path))
        {
            Directory.Delete(Path, recursive: true);
        }
    }

    private static int? ReadNumber(string path)
    {
        const int longest = 32;
        try
        {
            return int.TryParse(UntrustedFile.Read(path, longest), NumberStyles.Integer, CultureInfo.InvariantCulture, out int number) ? number : null;
        }
        catch (InvalidDataException)
        {
            return null;
        }
    }
}
