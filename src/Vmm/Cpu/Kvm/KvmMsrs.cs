using WebVm.Vmm.Cpu.State;
using WebVm.Vmm.Host;
using WebVm.Vmm.Host.Native;

namespace WebVm.Vmm.Cpu.Kvm;

/// <summary>The MSRs of <see cref="ModelSpecificRegisters"/> that this host's KVM has, and their transfer in one call each way.</summary>
internal sealed unsafe class KvmMsrs
{
    /// <summary>IA32_TIME_STAMP_COUNTER.</summary>
    public const uint Tsc = 0x10;

    /// <summary>IA32_TSC_DEADLINE.</summary>
    public const uint TscDeadline = 0x6e0;

    private const uint TscAdjust = 0x3b;
    private const uint MtrrVariableFirst = 0x200;

    // SDM Vol. 3A §11.11.2.2: 64K, two of 16K, eight of 4K.
    private static readonly uint[] s_mtrrFixed = [0x250, 0x258, 0x259, 0x268, 0x269, 0x26a, 0x26b, 0x26c, 0x26d, 0x26e, 0x26f];

    private readonly Entry[] _entries;

    private KvmMsrs(Entry[] entries) => _entries = entries;

    public IEnumerable<uint> Indices => _entries.Select(entry => entry.Index);

    /// <summary>
    /// Finds out which MSRs a vCPU of this host really has: the list that KVM gives is neither complete nor only what works.
    /// </summary>
    public static KvmMsrs Probe(int vcpu)
    {
        var buffer = new Buffer(1);
        return new KvmMsrs([.. All().Where(entry => buffer.TryRead(vcpu, entry.Index, out _))]);
    }

    /// <summary>Room for one transfer, so that none allocates.</summary>
    public Buffer CreateBuffer() => new(_entries.Length);

    public void Read(int vcpu, Buffer buffer, ModelSpecificRegisters* destination)
    {
        for (int i = 0; i < _entries.Length; i++)
        {
            buffer[i] = new kvm_msr_entry { index = _entries[i].Index };
        }

        int done = buffer.Transfer(vcpu, KvmRequests.KVM_GET_MSRS, _entries.Length, nameof(KvmRequests.KVM_GET_MSRS));
        for (int i = 0; i < done; i++)
        {
            At(destination, _entries[i]) = buffer[i].data;
        }
    }

    /// <summary>Writes all but the TSC deadline, which only counts after the local APIC is in TSC-deadline mode.</summary>
    public void Write(int vcpu, Buffer buffer, ModelSpecificRegisters* source)
    {
        int count = 0;
        foreach (var entry in _entries)
        {
            if (entry.Index != TscDeadline)
            {
                buffer[count++] = new kvm_msr_entry { index = entry.Index, data = At(source, entry) };
            }
        }

        Write(vcpu, buffer, count);
    }

    /// <summary>
    /// Writes what an instruction changed. A write of the same value would not be harmless: it restarts paravirtual clocks, for one.
    /// </summary>
    public void WriteChanged(int vcpu, Buffer buffer, ModelSpecificRegisters* before, ModelSpecificRegisters* after)
    {
        int count = 0;
        foreach (var entry in _entries)
        {
            // The counter runs on by itself; who writes it moves the adjustment along (SDM Vol. 3B §17.17.3).
            bool changed = entry.Index == Tsc ? after->TscAdjust != before->TscAdjust : At(after, entry) != At(before, entry);
            if (changed)
            {
                buffer[count++] = new kvm_msr_entry { index = entry.Index, data = At(after, entry) };
            }
        }

        Write(vcpu, buffer, count);
    }

    private static void Write(int vcpu, Buffer buffer, int count)
    {
        // KVM stops at a value that it refuses (a feature this host lacks). The others still count.
        for (int first = 0; first < count;)
        {
            int done = buffer.Transfer(vcpu, KvmRequests.KVM_SET_MSRS, count - first, nameof(KvmRequests.KVM_SET_MSRS));
            buffer.Shift(done + 1, count - first);
            first += done + 1;
        }
    }

    private static ref ulong At(ModelSpecificRegisters* registers, Entry entry) => ref *(ulong*)((byte*)registers + entry.Offset);

    private static int Offset(string field) => (int)System.Runtime.InteropServices.Marshal.OffsetOf<ModelSpecificRegisters>(field);

    private static IEnumerable<Entry> All()
    {
        yield return new(TscAdjust, Offset(nameof(ModelSpecificRegisters.TscAdjust)));
        yield return new(Tsc, Offset(nameof(ModelSpecificRegisters.Tsc)));
        yield return new(0x174, Offset(nameof(ModelSpecificRegisters.SysenterCs)));
        yield return new(0x175, Offset(nameof(ModelSpecificRegisters.SysenterEsp)));
        yield return new(0x176, Offset(nameof(ModelSpecificRegisters.SysenterEip)));
        yield return new(0x277, Offset(nameof(ModelSpecificRegisters.Pat)));
        yield return new(0xc0000081, Offset(nameof(ModelSpecificRegisters.Star)));
        yield return new(0xc0000082, Offset(nameof(ModelSpecificRegisters.Lstar)));
        yield return new(0xc0000083, Offset(nameof(ModelSpecificRegisters.Cstar)));
        yield return new(0xc0000084, Offset(nameof(ModelSpecificRegisters.Sfmask)));
        yield return new(0xc0000102, Offset(nameof(ModelSpecificRegisters.KernelGsBase)));
        yield return new(0xc0000103, Offset(nameof(ModelSpecificRegisters.TscAux)));
        yield return new(0x1a0, Offset(nameof(ModelSpecificRegisters.MiscEnable)));
        yield return new(0x48, Offset(nameof(ModelSpecificRegisters.SpecCtrl)));
        yield return new(0xda0, Offset(nameof(ModelSpecificRegisters.Xss)));
        yield return new(0x2ff, Offset(nameof(ModelSpecificRegisters.MtrrDefaultType)));
        for (int i = 0; i < s_mtrrFixed.Length; i++)
        {
            yield return new(s_mtrrFixed[i], Offset(nameof(ModelSpecificRegisters.MtrrFixed)) + (i * sizeof(ulong)));
        }

        for (int i = 0; i < ModelSpecificRegisters.VariableMtrrCount * 2; i++)
        {
            yield return new(MtrrVariableFirst + (uint)i, Offset(nameof(ModelSpecificRegisters.MtrrVariable)) + (i * sizeof(ulong)));
        }

        yield return new(KvmParavirtual.MSR_KVM_WALL_CLOCK_NEW, Offset(nameof(ModelSpecificRegisters.KvmWallClock)));
        yield return new(KvmParavirtual.MSR_KVM_SYSTEM_TIME_NEW, Offset(nameof(ModelSpecificRegisters.KvmSystemTime)));
        yield return new(KvmParavirtual.MSR_KVM_STEAL_TIME, Offset(nameof(ModelSpecificRegisters.KvmSteal)));
        yield return new(KvmParavirtual.MSR_KVM_PV_EOI_EN, Offset(nameof(ModelSpecificRegisters.KvmPvEoi)));
        yield return new(KvmParavirtual.MSR_KVM_POLL_CONTROL, Offset(nameof(ModelSpecificRegisters.KvmPollControl)));
        yield return new(TscDeadline, Offset(nameof(ModelSpecificRegisters.TscDeadline)));
    }

    private readonly record struct Entry(uint Index, int Offset);

    /// <summary>A kvm_msrs with its entries.</summary>
    internal sealed class Buffer
    {
        private readonly byte[] _bytes;

        public Buffer(int entries) =>
            _bytes = GC.AllocateArray<byte>(sizeof(kvm_msrs) + (Math.Max(entries, 1) * sizeof(kvm_msr_entry)), pinned: true);

        public ref kvm_msr_entry this[int index] => ref ((kvm_msr_entry*)(Header + 1))[index];

        private kvm_msrs* Header => (kvm_msrs*)System.Runtime.CompilerServices.Unsafe.AsPointer(ref _bytes[0]);

        /// <returns>How many entries went through.</returns>
        public int Transfer(int vcpu, nuint request, int count, string name)
        {
            *Header = new kvm_msrs { nmsrs = (uint)count };
            return KvmCalls.Require(vcpu, request, Header, name);
        }

        /// <summary>Drops the first entries.</summary>
        public void Shift(int dropped, int count)
        {
            for (int i = dropped; i < count; i++)
            {
                this[i - dropped] = this[i];
            }
        }

        public bool TryRead(int vcpu, uint index, out ulong value)
        {
            this[0] = new kvm_msr_entry { index = index };
            *Header = new kvm_msrs { nmsrs = 1 };
            bool read = KvmCalls.Control(vcpu, KvmRequests.KVM_GET_MSRS, Header) == 1;
            value = read ? this[0].data : 0;
            return read;
        }

        public bool TryWrite(int vcpu, uint index, ulong value)
        {
            this[0] = new kvm_msr_entry { index = index, data = value };
            *Header = new kvm_msrs { nmsrs = 1 };
            return KvmCalls.Control(vcpu, KvmRequests.KVM_SET_MSRS, Header) == 1;
        }
    }
}
