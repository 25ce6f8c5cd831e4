using System.Runtime.CompilerServices;
using WebVm.Vmm.Cpu.Soft.Context;
using WebVm.Vmm.Cpu.Soft.Operations;

namespace WebVm.Vmm.Cpu.Soft.Semantics.Vector;

/// <summary>
/// VGATHERxxx and VPGATHERxx (AVX2): Reg0 the destination, Reg1 the mask, <see cref="Operation.Index"/> the number of the vector of
/// indices, <see cref="Operation.Immediate"/> the element count. Elements that were fetched before a fault stay fetched and their mask
/// bits cleared, so that the instruction can start again (SDM Vol. 2C, VGATHERDPS).
/// </summary>
internal static unsafe class Gathers
{
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static Operation* Gather<TIndex, T>(CpuContext* cpu, Operation* op)
        where TIndex : unmanaged
        where T : unmanaged
    {
        if (!AvxAccess.IsAllowed(cpu))
        {
            return AvxAccess.Refuse(cpu, op);
        }

        byte indexSlot = (byte)(VectorRegisters.FirstXmmSlot + (op->Index * 2));
        ulong start = *(ulong*)((byte*)cpu + op->Base) + (ulong)op->Displacement;
        int count = (int)op->Immediate;

        for (int i = 0; i < count; i++)
        {
            byte* mask = VectorRegisters.Element(cpu, op->Reg1, i * sizeof(T));
            if ((mask[sizeof(T) - 1] & 0x80) == 0)
            {
                new Span<byte>(mask, sizeof(T)).Clear();
                continue;
            }

            byte* indexElement = VectorRegisters.Element(cpu, indexSlot, i * sizeof(TIndex));
            long index = sizeof(TIndex) == 4 ? *(int*)indexElement : *(long*)indexElement;
            ulong offset = start + ((ulong)index << op->Scale);
            if (!ElementAccess.TryRead(cpu, op, offset, out T value))
            {
                return Faults.Faulted(cpu, op);
            }

            Unsafe.WriteUnaligned(VectorRegisters.Element(cpu, op->Reg0, i * sizeof(T)), value);
            new Span<byte>(mask, sizeof(T)).Clear();
        }

        ClearFrom(cpu, op->Reg0, count * sizeof(T));
        ClearFrom(cpu, op->Reg1, 0);
        return op + 1;
    }

    private static void ClearFrom(CpuContext* cpu, byte slot, int start)
    {
        for (int i = start; i < 32; i += 4)
        {
            *(uint*)VectorRegisters.Element(cpu, slot, i) = 0;
        }
    }
}
