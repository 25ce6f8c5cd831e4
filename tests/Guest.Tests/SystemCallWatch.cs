using System.Collections.Concurrent;
using System.Diagnostics;
using System.Runtime.InteropServices;
using Tmds.Linux;
using WebVm.Vmm.Confinement;
using WebVm.Vmm.Host;
using WebVm.Vmm.Host.Native;

namespace WebVm.Guest.Tests;

/// <summary>
/// Starts a native monitor whose filters log (WEBVM_MONITOR_DEBUG) behind one that asks us about every call but those that any thread may
/// make (seccomp_unotify(2), <see cref="WatchedStart"/>): each is held against the lists, and made. What is not in them is named, with
/// arguments and thread.
/// </summary>
internal sealed unsafe class SystemCallWatch : IDisposable
{
    private const uint RecvNotification = 0xc0502100; // SECCOMP_IOCTL_NOTIF_RECV
    private const uint SendResponse = 0xc0182101; // SECCOMP_IOCTL_NOTIF_SEND
    private const uint Continue = 1; // SECCOMP_USER_NOTIF_FLAG_CONTINUE

    private readonly bool _kvm;
    private readonly int _without;
    private readonly ConcurrentDictionary<string, int> _strangers = new();
    private readonly ConcurrentDictionary<string, int> _seen = new();
    private readonly HashSet<uint> _narrow = [];
    private readonly Dictionary<ThreadRole, SystemCallFilter> _ofRoles = [];
    private SystemCallFilter _ofProcess = new();
    private FileDescriptor? _listener;
    private int _process;
    private bool _raised;

    /// <param name="kvm">Whether /dev/kvm is handed over.</param>
    /// <param name="without">A call that is taken out of the lists: what it is for must be found then.</param>
    public SystemCallWatch(bool kvm, int without = -1) => (_kvm, _without) = (kvm, without);

    /// <summary>Calls that are not in the lists, each with how often it was made.</summary>
    public IReadOnlyDictionary<string, int> Strangers => _strangers;

    /// <summary>Threads that made a call, by their role from when they have one: the call that narrows them is the first.</summary>
    public IReadOnlyDictionary<string, int> Seen => _seen;

    public Process Start(ProcessStartInfo information)
    {
        string folder = Directory.CreateTempSubdirectory("webvm-watch").FullName;
        try
        {
            string socket = Path.Combine(folder, "socket");
            using var listening = UnixSocket.Listen(socket);
            string[] arguments = [WatchedStart.Role, socket, information.FileName, .. information.ArgumentList];
            (information.FileName, information.Arguments) = (Environment.ProcessPath!, "");
            information.ArgumentList.Clear();
            Array.ForEach(arguments, information.ArgumentList.Add);
            var process = Process.Start(information)!;
            _listener = WatchedStart.Take(listening);
            _process = process.Id;
            _ofProcess = Without(InnerFilter.OfProcess(_process, _kvm), _without);
            foreach (var role in Enum.GetValues<ThreadRole>())
            {
                _ofRoles[role] = Without(InnerFilter.Of(role, _process, _kvm), _without);
            }

            new Thread(Answer) { Name = "system call watch", IsBackground = true }.Start();
            return process;
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    public void Dispose() => _listener?.Dispose();

    /// <summary>Until the last process with the filter has ended.</summary>
    private void Answer()
    {
        using var held = new HandleLease(_listener!);
        while (true)
        {
            // A receiver is not woken when there is nobody left to ask.
            var waited = new pollfd { fd = held.Number, events = LibC.POLLIN };
            if (LibC.poll(&waited, 1, -1) > 0 && (waited.revents & LibC.POLLIN) == 0)
            {
                return;
            }

            seccomp_notif asked = default;
            if (KvmCalls.Control(held.Number, RecvNotification, &asked) != 0)
            {
                // ENOENT: who asked was interrupted, and asks again.
                if (Marshal.GetLastPInvokeError() is ErrorNumber.EINTR or ErrorNumber.ENOENT)
                {
                    continue;
                }

                return;
            }

            Judge(asked);
            var response = new seccomp_notif_resp { id = asked.id, flags = Continue };
            _ = KvmCalls.Control(held.Number, SendResponse, &response);
        }
    }

    private void Judge(in seccomp_notif asked)
    {
        if (!TryIdentify(asked.pid, out int process, out string thread))
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
                _raised = true;
                return;
            }

            _narrow.Add(asked.pid);
            Saw(RoleOf(thread).ToString());
        }
        else if (_raised && process == _process)
        {
            ThreadRole? role = _narrow.Contains(asked.pid) ? RoleOf(thread) : null;
            Saw(role?.ToString() ?? thread);
            if (!Has(_ofProcess, asked.data.nr, arguments) || (role is { } narrow && !Has(_ofRoles[narrow], asked.data.nr, arguments)))
            {
                _strangers.AddOrUpdate(
                    $"{thread}: {NameOf(asked.data.nr)}({string.Join(", ", arguments.Select(argument => $"0x{argument:x}"))})", 1,
                    (_, count) => count + 1);
            }
        }
    }

    private void Saw(string thread) => _seen.AddOrUpdate(thread, 1, (_, count) => count + 1);

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

            string Field(string field) =>
                lines.First(line => line.StartsWith(field + ":", StringComparison.Ordinal))[(field.Length + 1)..].Trim();
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
