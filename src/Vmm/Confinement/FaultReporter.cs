using System.Runtime.InteropServices;
using WebVm.Vmm.Host;
using WebVm.Vmm.Host.Native;
using static WebVm.Vmm.Host.Native.SignalCalls;

namespace WebVm.Vmm.Confinement;

/// <summary>
/// Has a process whose native code faults write down where, into a pipe that it was handed (<see cref="FaultRecord"/>), before the signal
/// ends it. Managed code must not run in a signal's handler, so the handlers are machine code: they make system calls of every thread's
/// list, and touch what the kernel gave them.
/// </summary>
/// <remarks>
/// In managed code a fault is how the runtime notices null references, and divisions by zero. So its handler is called first: if it goes on
/// elsewhere, the fault was its own and nothing is told. If it does not, the interrupted instruction is executed again with the signal
/// blocked, which makes the kernel end the process by that signal, whatever handlers there are: a thread whose list does not let the
/// runtime put the default back would fault for ever.
/// </remarks>
internal static unsafe class FaultReporter
{
    /// <summary>The pipe's name among what is handed.</summary>
    public const string HandedName = "fault";

    private const ulong CodeSize = 4096;
    private const int SignalSetSize = 8;

    // For the rest of the process's life.
    private static FileDescriptor? s_pipe;
    private static ExecutableMemory? s_memory;

    /// <summary>From here on, for all threads. Once in a process; code is mapped, so before filters that refuse that.</summary>
    /// <param name="pipe">Written to without waiting. Belongs to this. Null: nothing is told, and the process ends all the same.</param>
    /// <exception cref="LinuxException">The kernel refuses.</exception>
    public static void Begin(FileDescriptor? pipe)
    {
        (s_pipe, s_memory) = (pipe, new ExecutableMemory("webvm-faults", CodeSize));
        var record = (FaultRecord*)NativeMemory.AllocZeroed((nuint)sizeof(FaultRecord));
        record->Magic = FaultRecord.Expected;
        var code = new FaultHandlers(record, pipe?.Number ?? -1);
        // The runtime's, which has a stack of its own for handlers and libc's way back from them.
        var faults = Action(SIGSEGV, null);
        foreach (int signal in (ReadOnlySpan<int>)[SIGSEGV, SIGFPE, SIGBUS, SIGILL, SIGABRT])
        {
            var action = Action(signal, null);
            bool isRuntimes = action.Handler > 1; // neither SIG_DFL nor SIG_IGN
            bool expected = isRuntimes && signal is SIGSEGV or SIGFPE;
            nint handler = s_memory.Append(expected ? code.Chained(action.Handler) : code.Last(isRuntimes ? action.Handler : 0));
            // Once is enough where nothing is expected: the second time the signal has its default, which is to end the process.
            var own = new SignalAction { Handler = handler, Flags = faults.Flags | SA_SIGINFO
                | (expected ? 0 : SA_RESETHAND), Restorer = faults.Restorer, Mask = faults.Mask };
            _ = Action(signal, &own);
        }
    }

    /// <summary>rt_sigaction(2), with the kernel's structure: libc's would hide the way back, which ours share.</summary>
    private static SignalAction Action(int signal, SignalAction* set)
    {
        SignalAction present;
        return RawCalls.Call(SystemCall.SYS_rt_sigaction, signal, (nint)set, (nint)(&present), SignalSetSize) == 0
            ? present
            : throw new LinuxException("rt_sigaction", RawCalls.Error);
    }

    /// <summary>The kernel's struct sigaction.</summary>
    private struct SignalAction
    {
        public nint Handler;
        public ulong Flags;
        public nint Restorer;
        public ulong Mask;
    }
}
