using Iced.Intel;
using WebVm.Vmm.Host;

namespace WebVm.Vmm.Cpu.Soft.Semantics;

/// <summary>
/// Short leaf routines of host machine code, for semantics that the host processor has and C# cannot express. They follow the System V
/// ABI (arguments in RDI, RSI, RDX, RCX, R8, R9), touch no guest memory, call nothing and cannot fault, so they are called by
/// <c>delegate* unmanaged[SuppressGCTransition]</c>.
/// </summary>
internal static class HostStub
{
    // The number of different stubs is finite (instruction forms, times immediate bytes where there is one: 3.2 MB together), so a guest
    // cannot fill the arena; StubCompletenessTests makes them all.
    public const ulong ArenaSize = 16 << 20;

    private static readonly ExecutableMemory _arena = new("webvm-stubs", ArenaSize);

    /// <summary>Maps the arena now: a monitor that is locked in can map nothing that is executed later.</summary>
    public static void Prepare() => _ = _arena.Size;

    /// <summary>Bytes of the arena that are taken.</summary>
    public static ulong Used => _arena.Used;

    /// <summary>Assembles a routine written by hand, say <c>a => { a.mov(rax, rdi); a.ret(); }</c>, and returns its address.</summary>
    public static nint Assemble(Action<Assembler> write)
    {
        var assembler = new Assembler(64);
        write(assembler);
        var code = new CodeBuffer();
        assembler.Assemble(code, 0);
        return Install(code);
    }

    /// <summary>Encodes the instructions, which must not refer to each other's addresses, and returns the routine's address.</summary>
    public static nint Encode(IEnumerable<Instruction> instructions)
    {
        var code = new CodeBuffer();
        var encoder = Encoder.Create(64, code);
        foreach (Instruction instruction in instructions)
        {
            encoder.Encode(instruction, 0);
        }

        return Install(code);
    }

    private static nint Install(CodeBuffer code)
    {
        nint address = _arena.Append(code.Bytes);
        return address != 0 ? address : throw new InvalidOperationException("The arena of host stubs is full.");
    }

    private sealed class CodeBuffer : CodeWriter
    {
        private readonly List<byte> _bytes = new(128);

        public ReadOnlySpan<byte> Bytes => System.Runtime.InteropServices.CollectionsMarshal.AsSpan(_bytes);

        public override void WriteByte(byte value) => _bytes.Add(value);
    }
}
