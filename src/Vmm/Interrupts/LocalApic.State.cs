using System.Runtime.InteropServices;
using R = WebVm.Vmm.Interrupts.LocalApicRegister;

namespace WebVm.Vmm.Interrupts;

/// <summary>The APIC's state, in and out. Only while the vCPU does not run.</summary>
public sealed partial class LocalApic
{
    /// <summary>The registers; <see cref="Base"/> and <see cref="TscDeadline"/> are saved with the vCPU's other MSRs.</summary>
    public LocalApicState Save()
    {
        Settle();
        var page = MemoryMarshal.AsBytes<uint>(_registers).ToArray();
        MemoryMarshal.Write(page.AsSpan(R.Id), Id);
        MemoryMarshal.Write(page.AsSpan(R.LogicalDestination), LogicalId);
        MemoryMarshal.Write(page.AsSpan(R.CurrentCount), _timer.CurrentCount);
        return new LocalApicState { Registers = page, TimerDeadline = _timer.CountsTsc ? 0 : _timer.Deadline };
    }

    /// <exception cref="InvalidDataException">Not a register page; the APIC is unchanged.</exception>
    public void Load(LocalApicState state)
    {
        if (state.Registers.Length != _registers.Length * sizeof(uint))
        {
            throw new InvalidDataException(
                $"A local APIC's registers are {_registers.Length * sizeof(uint)} bytes, not {state.Registers.Length}.");
        }

        ulong tscDeadline = _timer.TscDeadline;
        uint[] saved = MemoryMarshal.Cast<byte, uint>(state.Registers).ToArray();
        WithdrawEnd();
        ResetRegisters();
        foreach (int offset in (ReadOnlySpan<int>)[R.TaskPriority, R.SpuriousVector, R.ErrorStatus, R.InterruptCommand,
            R.InterruptCommandHigh])
        {
            _registers[offset / 4] = saved[offset / 4];
        }

        _registers[R.TaskPriority / 4] &= 0xff;
        _registers[R.SpuriousVector / 4] &= 0x3ff;
        for (int offset = R.InService; offset < R.ErrorStatus; offset += 0x10)
        {
            // Vectors 0 to 15 do not exist.
            bool first = offset is R.InService or R.TriggerMode or R.InterruptRequest;
            _registers[offset / 4] = saved[offset / 4] & (first ? 0xffff_0000 : ~0u);
        }

        for (int offset = R.LvtTimer; offset <= R.LvtError; offset += 0x10)
        {
            _registers[offset / 4] = saved[offset / 4] & R.LvtWritable(offset);
        }

        _registers[R.LogicalDestination / 4] = saved[R.LogicalDestination / 4] & 0xff00_0000;
        _registers[R.DestinationFormat / 4] = saved[R.DestinationFormat / 4] | 0x0fff_ffff;
        _registers[R.DivideConfiguration / 4] = saved[R.DivideConfiguration / 4] & 0xb;
        _timer.Load(
            _registers[R.LvtTimer / 4],
            saved[R.InitialCount / 4],
            _registers[R.DivideConfiguration / 4],
            state.TimerDeadline,
            saved[R.CurrentCount / 4]);
        _registers[R.InitialCount / 4] = _timer.InitialCount;
        UpdateProcessorPriority();
        LoadTscDeadline(tscDeadline);
        SignalIfPending();
    }

    /// <summary>Sets <see cref="Base"/> of a saved vCPU, from any mode into any; before or after <see cref="Load"/>.</summary>
    public void LoadBase(ulong value)
    {
        _base = value & (((1UL << PhysicalAddressBits) - 1) & ~0x2ffUL);
        if ((_base & BaseEnable) == 0)
        {
            _base &= ~BaseX2ApicEnable;
        }
    }

    /// <summary>
    /// Sets <see cref="TscDeadline"/> of a saved vCPU, whose time stamp counter must be right by now; before or after
    /// <see cref="Load"/>, which says whether it counts.
    /// </summary>
    public void LoadTscDeadline(ulong tsc) => _timer.LoadTscDeadline(tsc, tsc == 0 ? 0 : _owner.ClockAtTsc(tsc));
}
