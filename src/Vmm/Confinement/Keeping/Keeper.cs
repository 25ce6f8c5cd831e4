using System.Runtime.CompilerServices;
using System.Text;
using Tmds.Linux;
using WebVm.Vmm.Host;
using WebVm.Vmm.Host.Native;

namespace WebVm.Vmm.Confinement.Keeping;

/// <summary>
/// `webvm-vmm keep`: starts one monitor behind walls, and stays outside of them to write down what it prints and how it ends. Belongs to
/// the service as its account; is a process of its own so that it outlives the service, and small, as there is one for each machine.
/// </summary>
internal static unsafe class Keeper
{
    /// <summary>`keep` is a role of the program and has no help: a service starts it.</summary>
    public const string Role = "keep";

    /// <summary>The role that ends at once, for probing.</summary>
    public const string Idle = "stand";

    private const int BadInput = 2;
    private const int HostFailed = 4;
    private const int BegunAlready = 75;
    private const int ChunkSize = 4096;

    /// <summary>A program that is compiled at run time has code to compile between clone and exec, which cannot be.</summary>
    public static bool CanConfine => !RuntimeFeature.IsDynamicCodeSupported;

    public static int Run(ReadOnlySpan<string> arguments)
    {
        try
        {
            var options = KeeperOptions.Parse(arguments);
            return options.Probes ? IsolationProbe.Run(options.User) : Keep(options);
        }
        catch (FormatException misunderstood)
        {
            return Complain(BadInput, misunderstood.Message);
        }
        catch (Exception failure) when (failure is LinuxException or ConfinementException or InvalidDataException or IOException
            or UnauthorizedAccessException)
        {
            return Complain(HostFailed, failure.Message);
        }
    }

    /// <summary>The program that runs, to be executed again.</summary>
    public static FileDescriptor OpenProgram()
    {
        int number = FileCalls.Open("/proc/self/exe", LibC.O_RDONLY | LibC.O_CLOEXEC, 0);
        return number < 0 ? throw LinuxException.Last("open") : new FileDescriptor(number);
    }

    /// <summary>Environment of a monitor: nothing of the service's but what is for it.</summary>
    public static List<string> MonitorEnvironment()
    {
        List<string> environment = [];
        foreach (string name in (string[])["WEBVM_MONITOR_DEBUG", .. CanConfine ? (string[])[] : ["DOTNET_ROOT", "HOME", "PATH"]])
        {
            if (Environment.GetEnvironmentVariable(name) is { } value)
            {
                environment.Add($"{name}={value}");
            }
        }

        if (!CanConfine)
        {
            environment.Add("DOTNET_EnableDiagnostics=0");
        }

        return environment;
    }

    private static int Keep(KeeperOptions options)
    {
        LibC.setsid();
        _ = LibC.umask(0b000_111_111);
        const nint ignore = 1; // SIG_IGN
        foreach (int signal in (ReadOnlySpan<int>)[LibC.SIGTERM, LibC.SIGINT, LibC.SIGHUP])
        {
            // What ends the monitor is its own affair; how it ended is to be written down.
            ProcessCalls.SetSignalHandler(signal, ignore);
        }

        using var folder = RunFolder.TryBegin(options.Folder!);
        if (folder is null)
        {
            return BegunAlready;
        }

        var log = new BoundedLog(folder.Log);
        int code;
        try
        {
            code = Supervise(options, folder, log);
        }
        catch (Exception failure) when (failure is LinuxException or ConfinementException or InvalidDataException or IOException
            or UnauthorizedAccessException)
        {
            log.Append(Encoding.UTF8.GetBytes($"webvm-vmm: {failure.Message}\n"));
            code = HostFailed;
        }

        folder.RecordExit(code);
        return 0;
    }

    private static int Supervise(KeeperOptions options, RunFolder folder, BoundedLog log)
    {
        using var handed = HandedDescriptors.Open(options);
        using var program = OpenProgram();
        // Whoever installs monitors sees by it that machines run from this one (scripts/common.sh), also without the right to look into
        // /proc.
        _ = FileCalls.Lock(program.Number, FileCalls.LOCK_SH | FileCalls.LOCK_NB);
        List<string> arguments = ["webvm-vmm", .. options.Arguments, .. handed.Arguments];
        if (options.Level == IsolationLevel.None)
        {
            int process = PlainProcess.Start(Environment.ProcessPath!, arguments, MonitorEnvironment(), handed.Descriptors);
            folder.RecordProcess(null, process, options.Level, null);
            handed.Release();
            using var handle = OpenProcess(process);
            Follow(handed, handle, log);
            return ConfinedProcess.Wait(process);
        }

        if (!CanConfine)
        {
            throw new ConfinementException("this monitor is compiled at run time, and only the level none can be had with it");
        }

        using var confined = ConfinedProcess.Create(new ConfinedStart
        {
            Level = options.Level,
            User = options.User,
            Folder = options.Folder!,
            Group = options.Group,
            LargestFile = options.LargestFile,
            Program = program,
            Arguments = arguments,
            Environment = MonitorEnvironment(),
            Descriptors = handed.Descriptors,
            Lock = options.Level >= IsolationLevel.Namespaces ? folder.Lock : null,
        });
        folder.RecordProcess(confined, confined.Id, options.Level, options.User);
        confined.Release();
        handed.Release();
        // Only now: what the kernel shows of its child's user namespace would not be its own to write.
        OwnProcess.ForbidInspection();
        Follow(handed, confined.Handle, log);
        return confined.Wait();
    }

    /// <summary>Takes down what the monitor prints, until it has ended, and then what it reported of a fault.</summary>
    private static void Follow(HandedDescriptors handed, FileDescriptor process, BoundedLog log)
    {
        byte* chunk = stackalloc byte[ChunkSize];
        pollfd* waited = stackalloc pollfd[3];
        waited[0] = new pollfd { fd = process.Number, events = LibC.POLLIN };
        waited[1] = new pollfd { fd = handed.Output.Number, events = LibC.POLLIN };
        waited[2] = new pollfd { fd = handed.Faults.Number, events = LibC.POLLIN };
        var fault = new FaultReport();
        while (true)
        {
            waited[0].revents = waited[1].revents = waited[2].revents = 0;
            if (LibC.poll(waited, 3, -1) < 0)
            {
                continue;
            }

            bool heard = false;
            for (int stream = 1; stream <= 2; stream++)
            {
                if (waited[stream].revents != 0)
                {
                    long count = LibC.read(waited[stream].fd, chunk, ChunkSize);
                    if (count <= 0)
                    {
                        waited[stream].fd = -1; // closed at the other end
                        continue;
                    }

                    heard = true;
                    var text = new ReadOnlySpan<byte>(chunk, (int)count);
                    if (stream == 1)
                    {
                        log.Append(text);
                    }
                    else
                    {
                        fault.Append(text);
                    }
                }
            }

            if (!heard && waited[0].revents != 0)
            {
                log.Append(Encoding.UTF8.GetBytes(fault.Describe(Environment.ProcessPath!)));
                return;
            }
        }
    }

    private static FileDescriptor OpenProcess(int process)
    {
        nint handle = RawCalls.Call(SystemCall.SYS_pidfd_open, process);
        return handle < 0 ? throw new LinuxException("pidfd_open", RawCalls.Error) : new FileDescriptor((int)handle);
    }

    private static int Complain(int code, string message)
    {
        byte[] text = Encoding.UTF8.GetBytes($"webvm-vmm keep: {message}\n");
        fixed (byte* start = text)
        {
            _ = LibC.write(2, start, text.Length);
        }

        return code;
    }
}
