using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Tmds.Linux;
using WebVm.Vmm.Confinement;
using WebVm.Vmm.Host;
using WebVm.Vmm.Host.Native;

namespace WebVm.Attacker;

/// <summary>Faults as a monitor's native code might have them, in a process that reports them as a monitor does.</summary>
internal static unsafe partial class Faults
{
    private const int Many = 1000;
    private const nint Nowhere = 0x10;

    private static FileDescriptor? s_pipe;

    public static Dictionary<string, Action> All { get; } = new()
    {
        ["fault natively"] = Natively,
        ["fault natively on a vCPU's thread"] = () => OnNarrowThread(Natively),
        ["abort natively"] = Abort,
        ["abort natively on a vCPU's thread"] = () => OnNarrowThread(Abort),
        ["be told to abort"] = () => _ = ThreadCalls.Signal(Environment.ProcessId, ThreadCalls.ThreadId(), SignalCalls.SIGABRT),
        ["execute what is no instruction"] = Illegally,
        ["read what its file has no more"] = BeyondTheEnd,
        ["notice null references"] = Notice,
        ["notice null references on a vCPU's thread"] = () => OnNarrowThread(Notice),
        ["lie about a fault"] = Lie,
    };

    /// <summary>As a monitor does before its inner wall stands.</summary>
    public static void Report(string[] arguments)
    {
        HandedFiles.Adopt([.. arguments.Where((_, index) => index > 0 && arguments[index - 1] == "--handed")]);
        s_pipe = HandedFiles.OfProcess.Create(FaultReporter.HandedName);
        FaultReporter.Begin(s_pipe);
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void Natively() => _ = Length((byte*)Nowhere);

    private static void OnNarrowThread(Action fault)
    {
        InnerWall.Raise(kvm: false);
        var thread = new Thread(() =>
        {
            InnerWall.Narrow(ThreadRole.Vcpu);
            fault();
        })
        {
            Name = "vcpu0",
        };
        thread.Start();
        thread.Join();
    }

    private static void Illegally()
    {
        var code = new ExecutableMemory("illegal", 4096);
        ((delegate* unmanaged<void>)code.Append([0x0f, 0x0b]))(); // ud2
    }

    private static void BeyondTheEnd()
    {
        using var file = MemoryFile.Create("short", 4096);
        byte* page = (byte*)LibC.mmap(null, 4096, LibC.PROT_READ, LibC.MAP_SHARED, file.Descriptor.Number, 8192);
        _ = Volatile.Read(ref *page);
    }

    private static void Notice()
    {
        int noticed = 0;
        for (int count = 0; count < Many; count++)
        {
            try
            {
                _ = Nothing()!.Length;
            }
            catch (NullReferenceException)
            {
                noticed++;
            }

            try
            {
                _ = count / Nothing().AsSpan().Length;
            }
            catch (DivideByZeroException)
            {
                noticed++;
            }
        }

        Environment.ExitCode = noticed == 2 * Many ? 7 : 1;
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static string? Nothing() => null;

    private static void Lie()
    {
        byte[] lie = new byte[FaultRecord.HeadSize + (4 * FaultRecord.StackSize)];
        Array.Fill(lie, (byte)0x1b); // escape
        MemoryMarshal.Write(lie, FaultRecord.Expected);
        fixed (byte* start = lie)
        {
            _ = LibC.write(s_pipe!.Number, start, lie.Length);
        }
    }

    [LibraryImport("libc", EntryPoint = "strlen")]
    private static partial nint Length(byte* text);

    [LibraryImport("libc", EntryPoint = "abort")]
    private static partial void Abort();
}
