using System.Collections.Concurrent;
using System.Diagnostics;
using System.Runtime.InteropServices;
using Tmds.Linux;
using WebVm.Vmm.Confinement;
using WebVm.Vmm.Host;
using WebVm.Vmm.Host.Native;

namespace WebVm.Guest.Tests;

/// <summary>
/// Starts a native monitor whose filters log (WEBVM_MONITOR_DEBUG) behind one that asks us about every call but those that any thread may make
/// (seccomp_unotify(2)): each is held against the lists, and made. What is not in them is named, with arguments and thread.
/// </summary>
internal sealed unsafe class SystemCallWatch : IDisposable
{
    private const uint RecvNotification = 0xc0502100; // SECCOMP_IOCTL_NOTIF_RECV
    private const uint SendResponse = 0xc0182101; // SECCOMP_IOCTL_NOTIF_SEND
    private const uint Continue = 1; // SECCOMP_USER_NOTIF_FLAG_CONTINUE

    private const long StartingAllocates = 32 << 20;

    private static readonly Lock s_starting = new();
    private static readonly TimeSpan s_patience = TimeSpan.FromMinutes(2);

    private readonly Func<int, SystemCallFilter> _ofProcess;
    private readonly Func<ThreadRole, int, SystemCallFilter> _ofRole;
    private readonly ConcurrentDictionary<string, int> _strangers = new();
    private readonly ConcurrentDictionary<string, int> _seen = new();
    private readonly HashSet<uint> _narrow = [];
    private readonly ManualResetEventSlim _listening = new();
    private int _listener = -1;
    private int _process;
    private bool _raised;

    /// <param name="kvm">Whether /dev/kvm is handed over.</param>
    /// <param name="without">A call that is taken out of the lists: what it is for must be found then.</param>
    public SystemCallWatch(bool kvm, int without = -1)
    {
        _ofProcess = process => Without(InnerFilter.OfProcess(process, kvm), without);
        _ofRole = (role, process) => Without(InnerFilter.Of(role, process, kvm), without);
    }

    /// <summary>Calls that are not in the lists, each with how often it was made.</summary>
    public IReadOnlyDictionary<string, int> Strangers => _strangers;

    /// <summary>Threads that made a call, by role.</summary>
    public IReadOnlyDictionary<string, int> Seen => _seen;

    public Process Start(ProcessStartInfo information)
    {
        information.Environment.Clear();
        information.Environment["WEBVM_MONITOR_DEBUG"] = "1";
        new Thread(Answer) { Name = "system call watch", IsBackground = true }.Start();
        Process? process = null;
        Exception? failure = null;
        // A filter stays with the thread that put it up and with what that starts, so this is a thread of its own.
        var starter = new Thread(() =>
        {
            try
            {
                PutUp();
                process = Process.Start(information)!;
            }
            catch (Exception wrong)
            {
                failure = wrong;
            }
        });
        // A collection on that thread would hold up the one who answers, and ask it about a call.
        lock (s_starting)
        {
            bool quiet = GC.TryStartNoGCRegion(StartingAllocates);
            starter.Start();
            bool started = starter.Join(s_patience);
            if (quiet && System.Runtime.GCSettings.LatencyMode == System.Runtime.GCLatencyMode.NoGCRegion)
            {
                GC.EndNoGCRegion();
            }

            if (!started)
            {
                throw new InvalidOperationException("The monitor did not start in time.");
            }
        }

        return process ?? throw new InvalidOperationException("The monitor was not started.", failure);
    }

    public void Dispose()
    {
        if (_listener >= 0)
        {
            new FileDescriptor(_listener).Dispose();
        }
    }

    private void PutUp()
    {
        // Memory, locks and the collector's stops of this very process are not asked about: the one who answers needs them.
        var filter = new SystemCallFilter();
        foreach (var rule in InnerFilter.Of(ThreadRole.Vcpu, Environment.ProcessId, kvm: false).Rules.Where(rule => rule.Action == SeccompCalls.SECCOMP_RET_ALLOW))
        {
            filter.Allow(rule.Number, rule.Reason, rule.Tests);
        }

        var assembled = filter.Assemble(SeccompCalls.SECCOMP_RET_USER_NOTIF);
        if (ThreadCalls.ProcessControl(ThreadCalls.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        {
            throw LinuxException.Last("prctl");
        }

        fixed (sock_filter* first = assembled)
        {
            var program = new sock_fprog { len = (ushort)assembled.Length, filter = first };
            int listener = (int)LibC.syscall(SystemCall.SYS_seccomp, SeccompCalls.SECCOMP_SET_MODE_FILTER, SeccompCalls.SECCOMP_FILTER_FLAG_NEW_LISTENER, &program);
            _listener = listener >= 0 ? listener : throw LinuxException.Last("seccomp");
            _listening.Set();
        }
    }

    private void Answer()
    {
        _listening.Wait();
        while (true)
        {
            seccomp_notif asked = default;
            if (KvmCalls.Control(_listener, RecvNotification, &asked) != 0)
            {
                int errno = Marshal.GetLastPInvokeError();
                if (errno is ErrorNumber.EINTR or ErrorNumber.ENOENT)
                {
                    continue;
                }

                return;
            }

            Judge(asked);
            var response = new seccomp_notif_resp { id = asked.id, flags = Continue };
            _ = KvmCalls.Control(_listener, SendResponse, &response);
        }
    }

    private void Judge(in seccomp_notif asked)
    {
        if (asked.pid == 0 || !TryIdentify(asked.pid, out int process, out string thread) || process == Environment.ProcessId)
        {
            return;
        }

        var arguments = new ulong[6];
        for (int index = 0; index < arguments.Length; index++)
        {
            arguments[index] = asked.data.args[index];
        }

        if (asked.data.nr == SystemCall.SYS_seccomp)
        {
            if (((uint)arguments[1] & SeccompCalls.SECCOMP_FILTER_FLAG_TSYNC) != 0)
            {
                (_raised, _process) = (true, process);
                return;
            }

            _narrow.Add(asked.pid);
        }
        else if (_raised && process == _process)
        {
            ThreadRole? role = _narrow.Contains(asked.pid) ? RoleOf(thread) : null;
            _seen.AddOrUpdate(role?.ToString() ?? thread, 1, (_, count) => count + 1);
            if (!Has(_ofProcess(process), asked.data.nr, arguments) || (role is { } narrow && !Has(_ofRole(narrow, process), asked.data.nr, arguments)))
            {
                _strangers.AddOrUpdate($"{thread}: {NameOf(asked.data.nr)}({string.Join(", ", arguments.Select(argument => $"0x{argument:x}"))})", 1, (_, count) => count + 1);
            }
        }
    }

    private static ThreadRole RoleOf(string thread) => thread switch
    {
        "timers" or "deadlines" => ThreadRole.Timers,
        "display" => ThreadRole.Display,
        _ => ThreadRole.Vcpu,
    };

    /// <summary>As the kernel would judge; a call that is answered with an error is in the list as well.</summary>
    private static bool Has(SystemCallFilter filter, int number, ulong[] arguments) =>
        filter.Rules.Any(rule => rule.Number == number && rule.Tests.All(test => Passes(test, arguments)));

    private static bool Passes(ArgumentTest test, ulong[] arguments)
    {
        ulong value = arguments[(test.Offset - 16) / 8];
        return test.Kind switch
        {
            ArgumentTestKind.OneOf32 => test.Values.ToArray().Contains((uint)value),
            ArgumentTestKind.None32 => ((uint)value & test.Mask) == 0,
            ArgumentTestKind.Masked32 => ((uint)value & test.Mask) == test.Values.Span[0],
            _ => value == test.Values.Span[0],
        };
    }

    private static SystemCallFilter Without(SystemCallFilter filter, int number)
    {
        var less = new SystemCallFilter();
        foreach (var rule in filter.Rules.Where(rule => rule.Number != number))
        {
            less.Allow(rule.Number, rule.Reason, rule.Tests);
        }

        return less;
    }

    private static bool TryIdentify(uint thread, out int process, out string name)
    {
        process = 0;
        name = "";
        try
        {
            string[] lines = File.ReadAllLines($"/proc/{thread}/status");
            name = Field("Name");
            return int.TryParse(Field("Tgid"), out process);

            string Field(string field) => lines.First(line => line.StartsWith(field + ":", StringComparison.Ordinal))[(field.Length + 1)..].Trim();
        }
        catch (IOException)
        {
            return false;
        }
    }

    private static string NameOf(int number) => typeof(SystemCall).GetFields()
        .FirstOrDefault(field => field.GetRawConstantValue() is int value && value == number)?.Name[4..] ?? $"call {number}";
}

[StructLayout(LayoutKind.Sequential)]
internal struct seccomp_notif
{
    public ulong id;
    public uint pid;
    public uint flags;
    public seccomp_data data;
}

[StructLayout(LayoutKind.Sequential)]
internal struct seccomp_notif_resp
{
    public ulong id;
    public long val;
    public int error;
    public uint flags;
}
