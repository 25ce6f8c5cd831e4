using System.Runtime.InteropServices;
using Tmds.Linux;
using WebVm.Vmm.Host;
using WebVm.Vmm.Host.Native;
using static WebVm.Vmm.Host.Native.ProcessCalls;

namespace WebVm.Vmm.Confinement;

/// <summary>What a confined program is given, and how far it is kept from everything else.</summary>
internal sealed record ConfinedStart
{
    public required IsolationLevel Level { get; init; }

    /// <summary>User and group id of its own; null to stay what the keeper is.</summary>
    public uint? User { get; init; }

    /// <summary>A folder to hang the empty root over, in a namespace where nobody else sees that.</summary>
    public required string Folder { get; init; }

    public required FileDescriptor Program { get; init; }

    public required IReadOnlyList<string> Arguments { get; init; }

    public required IReadOnlyList<string> Environment { get; init; }

    /// <summary>Its descriptors 0, 1, 2 …</summary>
    public required IReadOnlyList<FileDescriptor> Descriptors { get; init; }

    /// <summary>The folder of a control group (cgroups(7), version 2) to be in; null to stay in the keeper's.</summary>
    public string? Group { get; init; }

    /// <summary>Bytes of the largest file that it may make or write, memory files among them (RLIMIT_FSIZE); null for no limit.</summary>
    public ulong? LargestFile { get; init; }

    /// <summary>Held by the init, where there is one.</summary>
    public FileDescriptor? Lock { get; init; }
}

/// <summary>A wall could not be built, or the program not be executed behind it.</summary>
internal sealed class ConfinementException(string message) : Exception(message);

/// <summary>A program that was started behind walls. Its starter goes on to wait for it.</summary>
internal sealed unsafe class ConfinedProcess : IDisposable
{
    private const int InnerUser = 65534; // "nobody": the one user of a user namespace
    private const ulong MostOpenFiles = 4096;
    private const ulong MostThreads = 512;

    /// <summary>Signals that wait, of which each timer keeps one (timer_create(2)).</summary>
    private const ulong MostSignals = 1024;
    private const int AllNamespaces = CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS;

    private readonly FileDescriptor _go;
    private readonly FileDescriptor _failure;

    private ConfinedProcess(int id, FileDescriptor handle, FileDescriptor go, FileDescriptor failure, IReadOnlyList<string> walls) =>
        (Id, Handle, _go, _failure, Walls) = (id, handle, go, failure, walls);

    /// <summary>As the starter sees it: of the init, where there is one.</summary>
    public int Id { get; }

    /// <summary>A pidfd.</summary>
    public FileDescriptor Handle { get; }

    /// <summary>By the names that docs/security.md explains.</summary>
    public IReadOnlyList<string> Walls { get; }

    /// <summary>Makes the process. It waits, and executes nothing before <see cref="Release"/>.</summary>
    /// <exception cref="ConfinementException">The host has not what the level needs.</exception>
    public static ConfinedProcess Create(ConfinedStart start)
    {
        bool separate = start.Level >= IsolationLevel.Namespaces;
        bool ownUserNamespace = start.Level == IsolationLevel.Namespaces;
        int landlock = LandlockRuleset.Version();
        if (landlock == 0 && !separate)
        {
            throw new ConfinementException("the kernel has no Landlock, and no namespaces may be made");
        }

        var (goRead, goWrite) = Pipe();
        var (failureRead, failureWrite) = Pipe();
        using (goRead)
        using (failureWrite)
        using (var group = start.Group is { } folder ? OpenGroup(folder) : null)
        using (var ruleset = landlock > 0 ? LandlockRuleset.Create(start.Program) : null)
        {
            var plan = Prepare(start, separate, group, ruleset, goRead, failureWrite, out var held);
            int flags = SIGCHLD | CLONE_PIDFD | (separate ? AllNamespaces : 0) | (ownUserNamespace ? CLONE_NEWUSER : 0);
            int handle = -1;
            nint id = RawCalls.Call(SystemCall.SYS_clone, flags, 0, (nint)(&handle));
            if (id == 0)
            {
                ConfinedChild.Run(plan);
            }

            int error = RawCalls.Error;
            held.ForEach(descriptor => descriptor.Dispose());
            if (id < 0)
            {
                goWrite.Dispose();
                failureRead.Dispose();
                throw new ConfinementException($"clone: {Marshal.GetPInvokeErrorMessage(error)}");
            }

            var made = new ConfinedProcess(
                (int)id, new FileDescriptor(handle), goWrite, failureRead, WallsOf(start, separate, ownUserNamespace, landlock));
            if (ownUserNamespace)
            {
                made.MapUser();
            }

            return made;
        }
    }

    /// <summary>Lets it go on, and waits until it executes its program.</summary>
    /// <exception cref="ConfinementException">A wall could not be built; the process has ended.</exception>
    public void Release()
    {
        byte go = 1;
        if (LibC.write(_go.Number, &go, 1) != 1)
        {
            throw new ConfinementException($"the process ended before it began: {LinuxException.Last("write").Message}");
        }

        StartFailure failure;
        long read;
        while ((read = LibC.read(_failure.Number, &failure, sizeof(StartFailure))) < 0
            && Marshal.GetLastPInvokeError() == ErrorNumber.EINTR)
        {
        }

        if (read == sizeof(StartFailure))
        {
            Wait();
            throw new ConfinementException($"{Describe(failure.Step)}: {Marshal.GetPInvokeErrorMessage(failure.Error)}");
        }
    }

    /// <summary>Waits for its end.</summary>
    /// <returns>Its exit code, or 128 and the signal that killed it.</returns>
    public int Wait() => Wait(Id);

    /// <inheritdoc cref="Wait()"/>
    public static int Wait(int process)
    {
        int status;
        while (ProcessCalls.Wait(process, &status, 0, null) < 0)
        {
            var failure = LinuxException.Last("wait4");
            if (failure.Errno != ErrorNumber.EINTR)
            {
                throw failure;
            }
        }

        return (status & 0x7f) == 0 ? (status >> 8) & 0xff : 128 + (status & 0x7f);
    }

    public void Dispose()
    {
        Handle.Dispose();
        _go.Dispose();
        _failure.Dispose();
    }

    private static StartPlan* Prepare(
        ConfinedStart start, bool separate, FileDescriptor? group, FileDescriptor? ruleset, FileDescriptor go, FileDescriptor failure,
        out List<FileDescriptor> held)
    {
        var plan = (StartPlan*)NativeMemory.AllocZeroed((nuint)sizeof(StartPlan));
        if (start.Descriptors.Count > StartPlan.MostDescriptors)
        {
            throw new ConfinementException(
                $"{start.Descriptors.Count} descriptors are handed over; {StartPlan.MostDescriptors} are the most");
        }

        // Just above those that the program gets, and its own two: a process of several threads whose table of descriptors grows waits for
        // all processors (RCU), 7 ms and more.
        int lowest = start.Descriptors.Count + 2;
        List<FileDescriptor> high = [];
        int High(FileDescriptor descriptor)
        {
            int copy = LibC.fcntl(descriptor.Number, LibC.F_DUPFD_CLOEXEC, lowest);
            high.Add(copy < 0 ? throw LinuxException.Last("fcntl") : new FileDescriptor(copy));
            return copy;
        }

        held = high;
        plan->Go = High(go);
        plan->Failure = High(failure);
        plan->Program = High(start.Program);
        plan->Lock = start.Lock is { } locked ? High(locked) : -1;
        plan->Group = group is null ? -1 : High(group);
        plan->Ruleset = ruleset is null ? -1 : High(ruleset);
        plan->DescriptorCount = start.Descriptors.Count;
        for (int index = 0; index < start.Descriptors.Count; index++)
        {
            plan->Descriptors[index] = High(start.Descriptors[index]);
        }

        if (separate)
        {
            plan->MountPoint = NativeText.Of(start.Folder);
            plan->Tmpfs = NativeText.Of("tmpfs");
            plan->TmpfsOptions = NativeText.Of("size=4k,nr_inodes=2,mode=0555");
            plan->HostName = NativeText.Of("machine");
            plan->HasInit = true;
        }

        plan->Root = NativeText.Of("/");
        plan->Here = NativeText.Of(".");
        plan->Empty = NativeText.Of("");
        plan->InitName = NativeText.Of("webvm-init");
        plan->User = start.User ?? 0;
        SetLimits(plan, countsThreads: separate || start.User is not null, start.LargestFile);
        var gate = ExecGate.Create();
        plan->Exec = (delegate* unmanaged[SuppressGCTransition]<nint, nint, nint, nint, nint, nint, nint>)gate.Call;
        plan->Filter = NativeFilter(OuterFilter.Create(gate.ReturnsTo));
        plan->InitFilter = NativeFilter(OuterFilter.OfInit());
        plan->Arguments = NativeText.Of(start.Arguments);
        plan->Environment = NativeText.Of(start.Environment);
        return plan;
    }

    private static sock_fprog NativeFilter(SystemCallFilter filter)
    {
        var program = filter.Assemble();
        var native = (sock_filter*)NativeMemory.Alloc((nuint)(program.Length * sizeof(sock_filter)));
        program.CopyTo(new Span<sock_filter>(native, program.Length));
        return new sock_fprog { len = (ushort)program.Length, filter = native };
    }

    /// <param name="countsThreads">
    /// Threads and signals are counted by user, and by user namespace: a limit is the monitor's own only where one of them is. Root's are
    /// counted and not bound, in whatever namespace (kernel/fork.c, copy_process): there a control group does it.
    /// </param>
    private static void SetLimits(StartPlan* plan, bool countsThreads, ulong? largestFile)
    {
        (int Name, ulong Most)[] limits =
        [
            (ThreadCalls.RLIMIT_CORE, 0),
            (ThreadCalls.RLIMIT_NOFILE, MostOpenFiles),
            (RLIMIT_MSGQUEUE, 0),
            .. largestFile is { } bytes ? ((int, ulong)[])[(RLIMIT_FSIZE, bytes)] : [],
            .. countsThreads ? ((int, ulong)[])[(ThreadCalls.RLIMIT_NPROC, MostThreads), (RLIMIT_SIGPENDING, MostSignals)] : [],
        ];
        plan->LimitCount = limits.Length;
        plan->Limits = (rlimit*)NativeMemory.Alloc((nuint)(limits.Length * sizeof(rlimit)));
        plan->LimitNames = (int*)NativeMemory.Alloc((nuint)(limits.Length * sizeof(int)));
        for (int index = 0; index < limits.Length; index++)
        {
            rlimit present;
            ulong most = ThreadCalls.GetLimit(limits[index].Name, &present) == 0
                ? Math.Min(limits[index].Most, present.rlim_max)
                : limits[index].Most;
            plan->LimitNames[index] = limits[index].Name;
            plan->Limits[index] = new rlimit { rlim_cur = most, rlim_max = most };
        }
    }

    private static List<string> WallsOf(ConfinedStart start, bool separate, bool ownUserNamespace, int landlock) =>
    [
        .. start.User is null ? (string[])[] : ["uid"],
        .. ownUserNamespace ? (string[])["user"] : [],
        .. separate ? (string[])["pid", "mount", "net", "ipc", "uts", "root"] : [],
        .. landlock > 0 ? (string[])[$"landlock:{landlock}"] : [],
        "seccomp",
        .. start.Group is null ? (string[])[] : ["cgroup"],
    ];

    /// <summary>One user and one group exist in the namespace, and are the keeper's outside (user_namespaces(7)).</summary>
    private void MapUser()
    {
        WriteProcessFile("setgroups", "deny");
        WriteProcessFile("uid_map", $"{InnerUser} {(uint)LibC.geteuid()} 1");
        WriteProcessFile("gid_map", $"{InnerUser} {(uint)LibC.getegid()} 1");
    }

    private void WriteProcessFile(string name, string text)
    {
        try
        {
            File.WriteAllText($"/proc/{Id}/{name}", text);
        }
        catch (Exception failure) when (failure is IOException or UnauthorizedAccessException)
        {
            throw new ConfinementException($"{name} of the user namespace: {failure.Message}");
        }
    }

    private static FileDescriptor OpenGroup(string folder)
    {
        string threads = Path.Combine(folder, "pids.max");
        if (File.Exists(threads))
        {
            // Where the group has the controller. Beside the monitor's there may be the init's.
            File.WriteAllText(threads, $"{MostThreads + 1}");
        }

        int number = FileCalls.Open(Path.Combine(folder, "cgroup.procs"), LibC.O_WRONLY | LibC.O_CLOEXEC, 0);
        return number < 0
            ? throw new ConfinementException($"{Describe(StartStep.Group)}: {LinuxException.Last("open").Message}")
            : new FileDescriptor(number);
    }

    private static (FileDescriptor Read, FileDescriptor Write) Pipe()
    {
        int* ends = stackalloc int[2];
        return LibC.pipe2(ends, LibC.O_CLOEXEC) == 0
            ? (new FileDescriptor(ends[0]), new FileDescriptor(ends[1]))
            : throw LinuxException.Last("pipe2");
    }

    private static string Describe(StartStep step) => step switch
    {
        StartStep.Group => "the control group cannot be entered",
        StartStep.Root => "an empty root cannot be made",
        StartStep.HostName => "the host's name cannot be hidden",
        StartStep.Limits => "limits cannot be set",
        StartStep.User => "the user cannot be changed",
        StartStep.Capabilities => "capabilities cannot be given up",
        StartStep.Privileges => "new privileges cannot be renounced",
        StartStep.Landlock => "Landlock cannot be entered",
        StartStep.Init => "the first process of the namespace cannot start the monitor",
        StartStep.Descriptors => "descriptors cannot be handed over",
        StartStep.Filter => "the filter of system calls is refused",
        StartStep.Exec => "the monitor cannot be executed",
        _ => "the monitor cannot be started",
    };
}
