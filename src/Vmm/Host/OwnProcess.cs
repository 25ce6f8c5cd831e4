using System.Text;
using Tmds.Linux;
using WebVm.Vmm.Host.Native;

namespace WebVm.Vmm.Host;

/// <summary>What a process does about itself at its start, before it has secrets.</summary>
public static unsafe class OwnProcess
{
    // open(2), close_range(2): 0, 1 and 2 are the standard streams.
    private const int FirstOther = 3;

    /// <summary>Permission bits that no file made from now on has (umask(2)).</summary>
    public static void SetFileMask(uint mask) => _ = LibC.umask((ushort)mask);

    /// <summary>
    /// From now on only root reads this process's memory, environment and descriptors (PR_SET_DUMPABLE, prctl(2); ptrace(2)).
    /// </summary>
    public static void ForbidInspection()
    {
        if (ThreadCalls.ProcessControl(ProcessCalls.PR_SET_DUMPABLE, 0, 0, 0, 0) != 0)
        {
            throw LinuxException.Last("prctl");
        }
    }

    /// <summary>
    /// Descriptors that whoever started this process had open end with it: no program that it starts gets them. Harmless where the kernel
    /// cannot (before 5.11).
    /// </summary>
    public static void KeepInheritedDescriptors() =>
        _ = LibC.syscall(SystemCall.SYS_close_range, FirstOther, uint.MaxValue, OwnProcessCalls.CLOSE_RANGE_CLOEXEC);

    /// <summary>
    /// Begins this program anew in the same process, with its arguments and one more environment variable. Returns only if the kernel
    /// refuses.
    /// </summary>
    public static void ExecuteAgain(string name, string value)
    {
        byte[] arguments = File.ReadAllBytes("/proc/self/cmdline");
        byte[] environment = [.. File.ReadAllBytes("/proc/self/environ"), .. Encoding.UTF8.GetBytes($"{name}={value}\0")];
        fixed (byte* argument = arguments, variable = environment)
        {
            fixed (nint* argv = Pointers(arguments, argument), envp = Pointers(environment, variable))
            {
                // By its name, which is then the process's: "exe" would tell nobody what runs here.
                _ = OwnProcessCalls.Execute(Environment.ProcessPath ?? "/proc/self/exe", (byte**)argv, (byte**)envp);
            }
        }
    }

    /// <summary>Pointers to the strings that stand one after the other, and a null behind them.</summary>
    private static nint[] Pointers(ReadOnlySpan<byte> strings, byte* first)
    {
        var pointers = new List<nint>();
        for (int at = 0; at < strings.Length && strings[at..].IndexOf((byte)0) is >= 0 and int length; at += length + 1)
        {
            pointers.Add((nint)(first + at));
        }

        return [.. pointers, 0];
    }
}
