using System.Diagnostics;
using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using Microsoft.Extensions.Logging;
using Npgsql;
using WebVm.Api.Settings;
using WebVm.Vmm.Host;

namespace WebVm.Api.Persistence;

/// <summary>
/// A PostgreSQL cluster of the service's own, in its data directory: reachable only through a Unix socket in a folder that only
/// its owner enters, and by the service's own account alone, which the kernel tells it (peer). PostgreSQL refuses to run as root; then its
/// own account is used.
/// </summary>
public sealed partial class PrivateCluster(string folder, string? programFolder, ILogger<PrivateCluster> log) : IDisposable
{
    private const string DatabaseName = "webvm";
    private const string Superuser = "webvm";
    private const string Account = "postgres";

    // sun_path holds 108 bytes (unix(7)); PostgreSQL appends "/.s.PGSQL.5432.lock".
    private const int LongestSocketFolder = 80;

    // A new cluster has about 40 MiB.
    private const long LittleSpace = 64 << 20;

    private const int MostPidFile = 4096;
    private const int MostVersion = 16;
    private const int AttemptsAfterCrash = 10;
    private static readonly TimeSpan AttemptDelay = TimeSpan.FromSeconds(1);

    private const UnixFileMode OwnerOnly = UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute;
    private const uint ForOthers = 0b000_111_111;

    private readonly SemaphoreSlim _one = new(1);

    // Beside the cluster's own folder, which its account could change: PostgreSQL only reads them.
    private string AccessFile => folder.TrimEnd('/') + ".hba.conf";

    private string IdentityFile => folder.TrimEnd('/') + ".ident.conf";

    private string DataFolder => Path.Combine(folder, "data");

    private string PidFile => Path.Combine(DataFolder, "postmaster.pid");

    private string SocketFolder => Path.Combine(folder, "run") is { Length: <= LongestSocketFolder } nearby
        ? nearby
        : Path.Combine(Path.GetTempPath(), "webvm-" + Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(folder)))[..16]);

    public string ConnectionString => new NpgsqlConnectionStringBuilder
    {
        Host = SocketFolder,
        Database = DatabaseName,
        Username = Superuser,
        MaxPoolSize = 40,
        Timeout = 10,
    }.ConnectionString;

    /// <summary>Creates the cluster if there is none, starts it if it does not run, and returns when it takes connections.</summary>
    /// <exception cref="ClusterException">PostgreSQL is missing, of another major version than the data, or does not start.</exception>
    public async Task EnsureRunningAsync(CancellationToken cancellation)
    {
        await _one.WaitAsync(cancellation);
        try
        {
            string programs = FindPrograms();
            await CheckVersionAsync(programs, cancellation);
            WriteAccess();
            await PrepareFoldersAsync(cancellation);
            if (ReadVersion() is null)
            {
                await InitializeAsync(programs, cancellation);
            }

            if (LooksAlive() && await RunAsync(programs, "pg_ctl", ["status", "-D", DataFolder], cancellation) is { ExitCode: 0 })
            {
                if (CommandLine() is { } running && running.Any(word => word.Contains(AccessFile, StringComparison.Ordinal)))
                {
                    return;
                }

                // Started by a build whose clusters let in whoever reached the socket.
                await RunAsync(programs, "pg_ctl", ["stop", "-m", "fast", "-w", "-D", DataFolder], cancellation);
            }

            // The children of a postmaster that was killed hold its shared memory for a moment, and a new one refuses to start beside them.
            int attempts = File.Exists(PidFile) ? AttemptsAfterCrash : 1;
            RemoveStalePidFile();
            LogStarting(log, DataFolder);
            string options =
                $"-c listen_addresses='' -c unix_socket_directories='{SocketFolder}' -c unix_socket_permissions=0700 -c hba_file='{AccessFile}' -c ident_file='{IdentityFile}'";
            string logFile = Path.Combine(folder, "postgresql.log");
            while (await RunAsync(
                programs, "pg_ctl", ["start", "-w", "-t", "120", "-D", DataFolder, "-l", logFile, "-o", options],
                cancellation) is { ExitCode: not 0 } started)
            {
                if (--attempts > 0)
                {
                    await Task.Delay(AttemptDelay, cancellation);
                    continue;
                }

                throw new ClusterException(
                    $"The private PostgreSQL cluster did not start; its log is {logFile}. {SpaceLeft()}{Complaint(started.Output)}");
            }

            await CreateDatabaseAsync(cancellation);
        }
        finally
        {
            _one.Release();
        }
    }

    /// <summary>Whether the postmaster that the pid file names is there. Cheap: no process is started.</summary>
    public bool LooksAlive()
    {
        try
        {
            // After a crash of the host or in a container the number may be another's by now.
            return CommandLine() is { } command && Path.GetFileName(command[0]) is "postgres" or "postmaster"
                && command.Contains(DataFolder);
        }
        catch (Exception failure) when (failure is IOException or InvalidOperationException)
        {
            return false;
        }
    }

    /// <summary>Of the process that the pid file names.</summary>
    private string[]? CommandLine() =>
        CheckedFile.TryRead(PidFile, MostPidFile) is { } text
            && int.TryParse(Encoding.ASCII.GetString(text).Split('\n')[0], CultureInfo.InvariantCulture, out int id)
            ? File.ReadAllText($"/proc/{id}/cmdline").Split('\0')
            : null;

    /// <summary>Stops the cluster cleanly. Harmless when it does not run.</summary>
    public async Task StopAsync(CancellationToken cancellation)
    {
        await _one.WaitAsync(cancellation);
        try
        {
            NpgsqlConnection.ClearAllPools();
            await RunAsync(FindPrograms(), "pg_ctl", ["stop", "-m", "fast", "-w", "-D", DataFolder], cancellation);
        }
        finally
        {
            _one.Release();
        }
    }

    public void Dispose() => _one.Dispose();

    private async Task InitializeAsync(string programs, CancellationToken cancellation)
    {
        // What has no version is not known to be a cluster: it may be what is left of one.
        if (Directory.Exists(DataFolder) && Directory.EnumerateFileSystemEntries(DataFolder).Any())
        {
            throw new ClusterException(
                $"The database in {DataFolder} is damaged: its file PG_VERSION is missing. Nothing was changed; put the folder back from a copy, or move it away to begin with an empty database.");
        }

        LogCreating(log, DataFolder);
        // An initdb that was interrupted leaves a folder that neither starts nor can be made anew; only a whole one gets the name.
        string begun = DataFolder + ".new";
        if (Directory.Exists(begun))
        {
            Directory.Delete(begun, recursive: true);
        }

        var made = await RunAsync(
            programs, "initdb", ["-D", begun, "-U", Superuser, "-E", "UTF8", "--locale=C.UTF-8", "--auth-local=peer", "--auth-host=reject",
                "--data-checksums", "--no-sync"],
            cancellation);
        if (made.ExitCode != 0)
        {
            throw new ClusterException(
                $"The private PostgreSQL cluster could not be made in {DataFolder}. {SpaceLeft()}{Complaint(made.Output)}");
        }

        // As initdb itself does it, which begins with each file's data, it takes twice as long as all the rest.
        try
        {
            DurableFiles.SynchronizeTree(begun);
        }
        catch (LinuxException failure)
        {
            throw new ClusterException(
                $"The private PostgreSQL cluster could not be written to the disk in {DataFolder}. {SpaceLeft()}{failure.Message}");
        }

        if (Directory.Exists(DataFolder))
        {
            Directory.Delete(DataFolder);
        }

        Directory.Move(begun, DataFolder);
    }

    // PostgreSQL believes a pid file whose number belongs to any process of its account.
    private void RemoveStalePidFile()
    {
        if (File.Exists(PidFile) && !LooksAlive())
        {
            LogStalePid(log, PidFile);
            File.Delete(PidFile);
        }
    }

    private string SpaceLeft() =>
        new DriveInfo(folder).AvailableFreeSpace is var bytes && bytes < LittleSpace
            ? $"There are {bytes >> 20} MiB left on its disk. "
            : "";

    // Of all that PostgreSQL's programs say about their work, the line about its failure.
    private static string Complaint(string output)
    {
        string[] lines = output.Split('\n', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries);
        string complaint = lines.FirstOrDefault(
            line => line.Contains("FATAL:", StringComparison.Ordinal) || line.Contains("error:", StringComparison.Ordinal))
                ?? lines.LastOrDefault() ?? "";
        return Environment.IsPrivilegedProcess && complaint.Contains("Permission denied", StringComparison.Ordinal)
            ? $"The service is root, and its database runs as {Account}, which has to be let into every folder above it: {complaint}"
            : complaint;
    }

    private async Task CreateDatabaseAsync(CancellationToken cancellation)
    {
        var administrative = new NpgsqlConnectionStringBuilder(ConnectionString) { Database = "postgres", Pooling = false };
        await using var connection = new NpgsqlConnection(administrative.ConnectionString);
        await connection.OpenAsync(cancellation);
        await using var exists = new NpgsqlCommand($"SELECT 1 FROM pg_database WHERE datname = '{DatabaseName}'", connection);
        if (await exists.ExecuteScalarAsync(cancellation) is null)
        {
            await using var create = new NpgsqlCommand($"CREATE DATABASE {DatabaseName}", connection);
            await create.ExecuteNonQueryAsync(cancellation);
        }
    }

    private async Task CheckVersionAsync(string programs, CancellationToken cancellation)
    {
        if (ReadVersion() is not { } data)
        {
            return;
        }

        string printed = (await RunAsync(programs, "postgres", ["--version"], cancellation)).Output;
        string program = new([.. printed.SkipWhile(c => !char.IsAsciiDigit(c)).TakeWhile(char.IsAsciiDigit)]);
        if (data != program)
        {
            throw new ClusterException(
                $"The database in {DataFolder} was made by PostgreSQL {data}, but PostgreSQL {program} is installed. "
                + $"Install PostgreSQL {data} beside it, or upgrade the folder with pg_upgrade; nothing was changed.");
        }
    }

    /// <summary>
    /// One line each: the service's account is the superuser, over the socket; nobody else is anybody (PostgreSQL's "Client
    /// Authentication").
    /// </summary>
    /// <exception cref="ClusterException">The disk is full, or fails.</exception>
    private void WriteAccess()
    {
        string me = Environment.UserName.Replace("\"", "\"\"", StringComparison.Ordinal);
        try
        {
            Write(AccessFile, $"local all {Superuser} peer map={Superuser}\n");
            Write(IdentityFile, $"{Superuser} \"{me}\" {Superuser}\n");
        }
        catch (IOException failure)
        {
            throw new ClusterException($"The rules of the database's access could not be written. {SpaceLeft()}{failure.Message}");
        }

        // Its readers are another account where the service is root; that account could write into a file of its own.
        static void Write(string path, string line)
        {
            File.WriteAllText(path + ".new", line);
            File.SetUnixFileMode(path + ".new", Environment.IsPrivilegedProcess
                ? UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.GroupRead | UnixFileMode.OtherRead
                : UnixFileMode.UserRead | UnixFileMode.UserWrite);
            File.Move(path + ".new", path, overwrite: true);
        }
    }

    /// <summary>
    /// The cluster's folder is given to its account by root once, before that account has anything in it; what is inside, that account
    /// makes.
    /// </summary>
    /// <exception cref="ClusterException">Something else has the name.</exception>
    private async Task PrepareFoldersAsync(CancellationToken cancellation)
    {
        if (FileIdentity.Of(folder) is null)
        {
            Directory.CreateDirectory(folder, OwnerOnly);
        }

        if (Environment.IsPrivilegedProcess && FileIdentity.Of(folder) is { IsDirectory: true } made && made.Owner == PrivateFolder.Caller)
        {
            using var chown = Process.Start(new ProcessStartInfo("chown", ["--no-dereference", $"{Account}:", folder]))!;
            await chown.WaitForExitAsync(cancellation);
        }

        if (await RunAsync("/bin", "mkdir", ["-p", "-m", "0700", SocketFolder], cancellation) is { ExitCode: not 0 } failed)
        {
            throw new ClusterException(
                $"The folder {SocketFolder} for the database's socket could not be made. {SpaceLeft()}{Complaint(failed.Output)}");
        }

        // Below a folder that everybody writes to, somebody may have been there first.
        if (FileIdentity.Of(SocketFolder) is not { IsDirectory: true } sockets || FileIdentity.Of(folder) is not { IsDirectory: true } own
            || sockets.Owner != own.Owner || (sockets.Mode & ForOthers) != 0)
        {
            throw new ClusterException($"The folder {SocketFolder} for the database's socket is not the service's own.");
        }
    }

    /// <summary>The major version that the data are of; null when there are none.</summary>
    private string? ReadVersion() =>
        CheckedFile.TryRead(Path.Combine(DataFolder, "PG_VERSION"), MostVersion) is { } text ? Encoding.ASCII.GetString(text).Trim() : null;

    private string FindPrograms()
    {
        if (programFolder is { Length: > 0 })
        {
            return File.Exists(Path.Combine(programFolder, "initdb"))
                ? programFolder
                : throw new ClusterException($"There is no PostgreSQL in {programFolder}, which WEBVM_POSTGRES_PROGRAMS names.");
        }

        string? wanted = ReadVersion();
        const string debian = "/usr/lib/postgresql";
        var installed = Directory.Exists(debian)
            ? Directory.GetDirectories(debian)
                .OrderByDescending(path => int.TryParse(Path.GetFileName(path), out int version) ? version : 0)
                .ToArray()
            : [];
        string? choice = installed.FirstOrDefault(path => Path.GetFileName(path) == wanted) ?? installed.FirstOrDefault();
        if (choice is not null)
        {
            return Path.Combine(choice, "bin");
        }

        return (Environment.GetEnvironmentVariable("PATH") ?? "").Split(':')
            .FirstOrDefault(path => File.Exists(Path.Combine(path, "initdb")))
            ?? throw new ClusterException(
                "PostgreSQL is not installed. Install the package \"postgresql\", or set WEBVM_DATABASE to a connection string.");
    }

    private static async Task<(int ExitCode, string Output)> RunAsync(
        string programs, string program, string[] arguments, CancellationToken cancellation)
    {
        string path = Path.Combine(programs, program);
        var start = Environment.IsPrivilegedProcess
            ? new ProcessStartInfo("setpriv", ["--reuid", Account, "--regid", Account, "--init-groups", path, .. arguments])
            : new ProcessStartInfo(path, arguments);
        // Of its own session: a Ctrl-C at the service's terminal must not reach the database before the service has used it last.
        start = new ProcessStartInfo("setsid", ["--wait", start.FileName, .. start.ArgumentList])
        {
            RedirectStandardError = true,
            RedirectStandardOutput = true,
            WorkingDirectory = "/",
        };
        using var process = Process.Start(start) ?? throw new ClusterException($"{program} could not be started.");
        var output = process.StandardOutput.ReadToEndAsync(cancellation);
        var errors = process.StandardError.ReadToEndAsync(cancellation);
        await process.WaitForExitAsync(cancellation);
        return (process.ExitCode, await output + await errors);
    }

    [LoggerMessage(Level = LogLevel.Information, Message = "Creating a PostgreSQL cluster in {Folder}")]
    private static partial void LogCreating(ILogger log, string folder);

    [LoggerMessage(Level = LogLevel.Warning, Message = "{File} was left by a PostgreSQL that is gone, and is removed")]
    private static partial void LogStalePid(ILogger log, string file);

    [LoggerMessage(Level = LogLevel.Information, Message = "Starting the PostgreSQL cluster in {Folder}")]
    private static partial void LogStarting(ILogger log, string folder);
}

/// <summary>The private database cannot be used; the message says what to do about it.</summary>
public sealed class ClusterException(string message) : StartException(message);
