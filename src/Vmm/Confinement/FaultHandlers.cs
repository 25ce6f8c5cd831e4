using System.Buffers.Binary;
using WebVm.Vmm.Host.Native;
using static WebVm.Vmm.Host.Native.SystemCall;

namespace WebVm.Vmm.Confinement;

/// <summary>
/// The machine code of <see cref="FaultReporter"/>'s handlers: void handler(int rdi, siginfo_t *rsi, void *rdx). They keep the latter two
/// in r12 and rbx, and make system calls alone. Written by hand, as an assembler costs each start of a monitor more than a millisecond.
/// </summary>
internal sealed unsafe class FaultHandlers(FaultRecord* record, int pipe)
{
    private const int MostPauses = 10_000_000;
    private const int StackPiece = 512;

    private readonly List<byte> _code = new(512);
    private readonly int _registers = OffsetOfRegisters();
    private readonly int _state = (int)((byte*)&record->State - (byte*)record);

    /// <summary>The runtime's handler, and what comes of it.</summary>
    public byte[] Chained(nint handler)
    {
        Label end = new();
        Begin();
        Add(0x57, 0x57); // push rdi; push rdi
        Add(0x4c, 0x8b, 0xaa).Int(Register(ucontext_t.InstructionPointer)); // mov r13, [rdx + RIP]
        Add(0x48, 0xb8).Long(handler).Add(0xff, 0xd0); // mov rax, handler; call rax
        Add(0x5f, 0x5f); // pop rdi; pop rdi
        Add(0x4c, 0x39, 0xab).Int(Register(ucontext_t.InstructionPointer)); // cmp [rbx + RIP], r13
        Add(0x0f, 0x85).To(end); // jne end
        // What another process or thread sent would not come again by itself.
        Add(0x41, 0x83, 0xbc, 0x24).Int(OffsetOfCode()).Add(0x00); // cmp dword [r12 + si_code], 0
        Add(0x0f, 0x8e).To(end); // jle end
        Add(0x8d, 0x4f, 0xff); // lea ecx, [rdi - 1]
        Add(0x48, 0x0f, 0xab, 0x8b).Int(OffsetOfMask()); // bts [rbx + uc_sigmask], rcx
        Report();
        return End(end);
    }

    /// <summary>For signals that say of themselves that the process ends.</summary>
    /// <param name="handler">Whoever had the signal before; 0 for nobody.</param>
    public byte[] Last(nint handler)
    {
        Begin();
        Add(0x57, 0x57); // push rdi; push rdi
        Report();
        Add(0x5f, 0x5f); // pop rdi; pop rdi
        Add(0x41, 0x89, 0xfd); // mov r13d, edi
        if (handler != 0)
        {
            Add(0x4c, 0x89, 0xe6); // mov rsi, r12
            Add(0x48, 0x89, 0xda); // mov rdx, rbx
            Add(0x48, 0xb8).Long(handler).Add(0xff, 0xd0); // mov rax, handler; call rax
        }

        // Somebody may have sent it, and would not again: it waits for the handler's end, and then has its default.
        Call(SYS_gettid);
        Add(0x89, 0xc6); // mov esi, eax
        Call(SYS_getpid);
        Add(0x89, 0xc7); // mov edi, eax
        Add(0x44, 0x89, 0xea); // mov edx, r13d
        Call(SYS_tgkill);
        return End(new Label());
    }

    private void Begin()
    {
        _code.Clear();
        Add(0x53, 0x41, 0x54, 0x41, 0x55); // push rbx; push r12; push r13: the stack is aligned for calls then
        Add(0x48, 0x89, 0xd3); // mov rbx, rdx
        Add(0x49, 0x89, 0xf4); // mov r12, rsi
    }

    private byte[] End(Label end)
    {
        Place(end);
        Add(0x41, 0x5d, 0x41, 0x5c, 0x5b, 0xc3); // pop r13; pop r12; pop rbx; ret
        return [.. _code];
    }

    /// <summary>Of the threads that fault, the first reports. The others let it finish, for a while: they would end the process.</summary>
    private void Report()
    {
        Label first = new(), wait = new(), over = new();
        Add(0x49, 0xbd).Long((nint)record); // mov r13, record
        Add(0xb9).Int(1); // mov ecx, 1
        Add(0x31, 0xc0); // xor eax, eax
        Add(0xf0, 0x41, 0x0f, 0xb1, 0x8d).Int(_state); // lock cmpxchg [r13 + State], ecx
        Add(0x0f, 0x84).To(first); // je first
        Add(0xb9).Int(MostPauses); // mov ecx, MostPauses
        Place(wait);
        Add(0x41, 0x83, 0xbd).Int(_state).Add(0x02); // cmp dword [r13 + State], 2
        Add(0x0f, 0x84).To(over); // je over
        Add(0xf3, 0x90); // pause
        Add(0xff, 0xc9); // dec ecx
        Add(0x0f, 0x85).To(wait); // jnz wait
        Add(0xe9).To(over); // jmp over

        Place(first);
        Call(SYS_gettid);
        Add(0x41, 0x89, 0x85).Int((int)((byte*)&record->Thread - (byte*)record)); // mov [r13 + Thread], eax
        Add(0xbf).Int(ThreadCalls.PR_GET_NAME); // mov edi, PR_GET_NAME
        Add(0x49, 0x8d, 0xb5).Int((int)(record->Name - (byte*)record)); // lea rsi, [r13 + Name]
        Call(SYS_prctl);
        Add(0x4c, 0x89, 0xee); // mov rsi, r13
        Write(sizeof(FaultRecord));
        Add(0x4c, 0x89, 0xe6); // mov rsi, r12
        Write(sizeof(siginfo_t));
        Add(0x48, 0x8d, 0xb3).Int(_registers); // lea rsi, [rbx + gregs]
        Write(ucontext_t.Registers * sizeof(ulong));
        WriteStack();
        Add(0x41, 0xc7, 0x85).Int(_state).Int(2); // mov dword [r13 + State], 2
        Place(over);
    }

    /// <summary>In pieces that end where pages may: of one that reaches beyond the stack's end nothing is written.</summary>
    private void WriteStack()
    {
        Label next = new(), end = new();
        Add(0x48, 0x8b, 0xb3).Int(Register(ucontext_t.StackPointer)); // mov rsi, [rbx + RSP]
        Add(0x41, 0xb8).Int(FaultRecord.StackSize / StackPiece); // mov r8d, pieces
        Add(0xba).Int(StackPiece); // mov edx, StackPiece
        Add(0x89, 0xf0); // mov eax, esi
        Add(0x25).Int(StackPiece - 1); // and eax, StackPiece - 1
        Add(0x29, 0xc2); // sub edx, eax
        Place(next);
        Add(0xbf).Int(pipe); // mov edi, pipe
        Call(SYS_write);
        Add(0x48, 0x85, 0xc0); // test rax, rax
        Add(0x0f, 0x8e).To(end); // jle end
        Add(0x48, 0x01, 0xc6); // add rsi, rax
        Add(0xba).Int(StackPiece); // mov edx, StackPiece
        Add(0x41, 0xff, 0xc8); // dec r8d
        Add(0x0f, 0x85).To(next); // jnz next
        Place(end);
    }

    /// <summary>From where rsi points to. A pipe that is full or closed takes nothing.</summary>
    private void Write(int bytes)
    {
        Add(0xbf).Int(pipe); // mov edi, pipe
        Add(0xba).Int(bytes); // mov edx, bytes
        Call(SYS_write);
    }

    /// <summary>Keeps all registers but rax, rcx and r11.</summary>
    private void Call(int number) => Add(0xb8).Int(number).Add(0x0f, 0x05); // mov eax, number; syscall

    private int Register(int index) => _registers + (index * sizeof(ulong));

    private FaultHandlers Add(params ReadOnlySpan<byte> bytes)
    {
        _code.AddRange(bytes);
        return this;
    }

    /// <summary>A displacement, or a number, of four bytes.</summary>
    private FaultHandlers Int(int value)
    {
        Span<byte> bytes = stackalloc byte[sizeof(int)];
        BinaryPrimitives.WriteInt32LittleEndian(bytes, value);
        return Add(bytes);
    }

    private FaultHandlers Long(nint value)
    {
        Span<byte> bytes = stackalloc byte[sizeof(long)];
        BinaryPrimitives.WriteInt64LittleEndian(bytes, value);
        return Add(bytes);
    }

    /// <summary>The distance of a jump, of four bytes.</summary>
    private void To(Label label)
    {
        label.Jumps.Add(_code.Count);
        Int(label.Position < 0 ? 0 : label.Position - _code.Count - sizeof(int));
    }

    private void Place(Label label)
    {
        label.Position = _code.Count;
        foreach (int jump in label.Jumps)
        {
            BinaryPrimitives.WriteInt32LittleEndian(
                System.Runtime.InteropServices.CollectionsMarshal.AsSpan(_code)[jump..], label.Position - jump - sizeof(int));
        }
    }

    private static int OffsetOfRegisters()
    {
        ucontext_t context;
        return (int)((byte*)context.gregs - (byte*)&context);
    }

    private static int OffsetOfMask()
    {
        ucontext_t context;
        return (int)((byte*)context.uc_sigmask - (byte*)&context);
    }

    private static int OffsetOfCode()
    {
        siginfo_t signal;
        return (int)((byte*)&signal.si_code - (byte*)&signal);
    }

    private sealed class Label
    {
        public int Position { get; set; } = -1;

        public List<int> Jumps { get; } = [];
    }
}
