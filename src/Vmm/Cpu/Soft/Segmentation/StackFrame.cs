using WebVm.Vmm.Cpu.Soft.Access;
using WebVm.Vmm.Cpu.Soft.Context;
using WebVm.Vmm.Cpu.Soft.Paging;
using WebVm.Vmm.Cpu.State;

namespace WebVm.Vmm.Cpu.Soft.Segmentation;

/// <summary>
/// A stack that the processor pushes on itself, while a transfer may still fail: nothing but the memory changes until <see cref="Commit"/>.
/// </summary>
internal unsafe ref struct StackFrame
{
    private readonly bool _long;
    private readonly bool _wide;
    private readonly uint _size;
    private readonly Privilege _privilege;
    private SegmentRegister _segment;
    private ulong _pointer;

    /// <param name="size">Bytes a push: 2, 4 or 8.</param>
    public StackFrame(CpuContext* cpu, SegmentRegister segment, ulong pointer, bool isLong, uint size, Privilege privilege)
    {
        _ = cpu;
        _segment = segment;
        _pointer = pointer;
        _long = isLong;
        _wide = (segment.Attributes & SegmentAttributes.Default32) != 0;
        _size = size;
        _privilege = privilege;
    }

    /// <summary>A push failed by the segment's limit or an impossible address, not by a page fault (which is recorded).</summary>
    public bool Exceeded { get; private set; }

    public readonly ushort Selector => _segment.Selector;

    public bool TryPush(CpuContext* cpu, ulong value)
    {
        ulong next = _pointer - _size;
        ulong linear = next;
        if (!_long)
        {
            next = _wide ? (uint)next : (ushort)next;
            fixed (SegmentRegister* segment = &_segment)
            {
                if (!Segments.Permits(segment, (uint)next, _size, write: true))
                {
                    Exceeded = true;
                    return false;
                }
            }

            linear = (uint)(_segment.Base + next);
        }
        else if (!SlowAccess.IsCanonical(cpu, linear))
        {
            Exceeded = true;
            return false;
        }

        if (!SlowAccess.TryWriteBlock(cpu, new(linear), (byte*)&value, _size, _privilege))
        {
            return false;
        }

        _pointer = next;
        return true;
    }

    /// <summary>Moves the stack pointer at the stack's width.</summary>
    public readonly void Commit(CpuContext* cpu)
    {
        if (_long)
        {
            cpu->State.Gpr[4] = _pointer;
        }
        else if (_wide)
        {
            cpu->State.Gpr[4] = (uint)_pointer;
        }
        else
        {
            *(ushort*)&cpu->State.Gpr[4] = (ushort)_pointer;
        }
    }
}
