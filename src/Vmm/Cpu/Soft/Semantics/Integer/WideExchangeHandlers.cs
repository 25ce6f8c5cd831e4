using System.Runtime.CompilerServices;
using WebVm.Vmm.Cpu.Soft.Access;
using WebVm.Vmm.Cpu.Soft.Context;
using WebVm.Vmm.Cpu.Soft.Operations;
using static Iced.Intel.AssemblerRegisters;

namespace WebVm.Vmm.Cpu.Soft.Semantics.Integer;

/// <summary>CMPXCHG8B and CMPXCHG16B: only ZF changes.</summary>
internal static unsafe class WideExchangeHandlers
{
    /// <summary>(target, expected, desired): 1 if exchanged, else the value found is in *expected. C# has no 16-byte atomic.</summary>
    private static readonly delegate* unmanaged[SuppressGCTransition]<void*, ulong*, ulong*, int> _compareExchange16 = Assemble();

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static Operation* CompareExchange8(CpuContext* cpu, Operation* op)
    {
        if (!GuestAccess.TryBeginUpdate(cpu, op, out ulong* host))
        {
            return Faults.Faulted(cpu, op);
        }

        ulong expected = ((ulong)RegisterFile.Read<uint>(cpu, RegisterFile.Rdx) << 32) | RegisterFile.Read<uint>(cpu, RegisterFile.Rax);
        ulong desired = ((ulong)RegisterFile.Read<uint>(cpu, RegisterFile.Rcx) << 32) | RegisterFile.Read<uint>(cpu, RegisterFile.Rbx);
        ulong found = Atomics.CompareExchange(host, desired, expected);
        GuestAccess.EndUpdate(cpu, op, host);
        if (found != expected)
        {
            RegisterFile.Write(cpu, RegisterFile.Rax, (uint)found);
            RegisterFile.Write(cpu, RegisterFile.Rdx, (uint)(found >> 32));
        }

        SetZero(cpu, found == expected);
        return Dispatch.Next(cpu, op);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static Operation* CompareExchange16(CpuContext* cpu, Operation* op)
    {
        if (!GuestAccess.CheckAligned(cpu, op, 16) || !GuestAccess.TryBeginUpdate(cpu, op, out UInt128* host))
        {
            return Faults.Faulted(cpu, op);
        }

        ulong* expected = stackalloc ulong[2] { cpu->State.Gpr[0], cpu->State.Gpr[2] };
        ulong* desired = stackalloc ulong[2] { cpu->State.Gpr[3], cpu->State.Gpr[1] };
        bool exchanged = _compareExchange16(host, expected, desired) != 0;
        GuestAccess.EndUpdate(cpu, op, host);
        if (!exchanged)
        {
            cpu->State.Gpr[0] = expected[0];
            cpu->State.Gpr[2] = expected[1];
        }

        SetZero(cpu, exchanged);
        return Dispatch.Next(cpu, op);
    }

    private static void SetZero(CpuContext* cpu, bool zero) => cpu->FlagZero = zero ? 0UL : 1;

    private static delegate* unmanaged[SuppressGCTransition]<void*, ulong*, ulong*, int> Assemble() =>
        (delegate* unmanaged[SuppressGCTransition]<void*, ulong*, ulong*, int>)HostStub.Assemble(a =>
        {
            a.push(rbx);
            a.mov(r8, rdx);
            a.mov(rax, __[rsi]);
            a.mov(rdx, __[rsi + 8]);
            a.mov(rbx, __[r8]);
            a.mov(rcx, __[r8 + 8]);
            a.@lock.cmpxchg16b(__[rdi]);
            a.mov(__[rsi], rax);
            a.mov(__[rsi + 8], rdx);
            a.sete(al);
            a.movzx(eax, al);
            a.pop(rbx);
            a.ret();
        });
}
