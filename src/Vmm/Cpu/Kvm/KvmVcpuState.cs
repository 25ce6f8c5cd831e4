using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using WebVm.Vmm.Cpu.State;
using WebVm.Vmm.Host;
using WebVm.Vmm.Host.Native;
using WebVm.Vmm.Memory;

namespace WebVm.Vmm.Cpu.Kvm;

/// <summary>Moves the complete architectural state between one KVM vCPU and a <see cref="CpuState"/>.</summary>
internal sealed unsafe class KvmVcpuState : IDisposable
{
    private const ulong LongModeActive = 1 << 10;
    private const ulong PaeBit = 1 << 5;
    private const ulong PagingBit = 1UL << 31;
    private const ulong OurComponents = 7; // x87, SSE and AVX have room in XsaveArea.

    private readonly int _vcpu;
    private readonly bool _hasPdptrs;
    private readonly ulong _components;
    private ulong _foundBitmap;
    private readonly int _xsaveSize;
    private readonly void* _xsave;
    private readonly KvmMsrs _msrs;
    private readonly KvmMsrs.Buffer _buffer;

    /// <param name="components">The bits of XCR0 that guests may set: those that <see cref="XsaveArea"/> has no room for stay within
    /// KVM.</param>
    /// <param name="xsaveSize">Bytes that KVM_GET_XSAVE2 gives on this host.</param>
    public KvmVcpuState(int vcpu, KvmMsrs msrs, bool hasPdptrs, ulong components, int xsaveSize)
    {
        _components = components;
        _vcpu = vcpu;
        _msrs = msrs;
        _buffer = msrs.CreateBuffer();
        _hasPdptrs = hasPdptrs;
        _xsaveSize = Math.Max(xsaveSize, sizeof(kvm_xsave));
        _xsave = NativeMemory.AlignedAlloc((nuint)_xsaveSize, 64);
    }

    public void Save(CpuState* to)
    {
        SaveRegisters(to);
        SaveExtended(to);
        kvm_debugregs debug;
        Require(KvmRequests.KVM_GET_DEBUGREGS, &debug, nameof(KvmRequests.KVM_GET_DEBUGREGS));
        for (int i = 0; i < 4; i++)
        {
            to->Dr[i] = debug.db[i];
        }

        to->Dr[6] = debug.dr6;
        to->Dr[7] = debug.dr7;
        _msrs.Read(_vcpu, _buffer, &to->Msr);
    }

    /// <summary>General, segment and control registers, events and activity: what most instructions can touch.</summary>
    public void SaveRegisters(CpuState* to)
    {
        kvm_regs general;
        Require(KvmRequests.KVM_GET_REGS, &general, nameof(KvmRequests.KVM_GET_REGS));
        KvmRegisters.FromKvm(general, to);
        kvm_sregs special;
        Require(KvmRequests.KVM_GET_SREGS, &special, nameof(KvmRequests.KVM_GET_SREGS));
        KvmRegisters.FromKvm(special, to);
        SavePdptrs(to);
        kvm_vcpu_events events;
        Require(KvmRequests.KVM_GET_VCPU_EVENTS, &events, nameof(KvmRequests.KVM_GET_VCPU_EVENTS));
        KvmRegisters.FromKvm(events, to);
        kvm_mp_state activity;
        Require(KvmRequests.KVM_GET_MP_STATE, &activity, nameof(KvmRequests.KVM_GET_MP_STATE));
        KvmRegisters.FromKvm(activity, events, to);
    }

    /// <summary>x87 and vector registers, and XCR0.</summary>
    public void SaveExtended(CpuState* to)
    {
        _foundBitmap = ((XsaveArea*)Unsafe.AsPointer(ref ReadExtended()[0]))->StateBitmap;
        NativeMemory.Copy(_xsave, &to->Xsave, XsaveBytes);
        // KVM fills in the initial values of components that are in their initial state, so all of the area counts. Components that it
        // has no room for are not in use: CPUID does not offer them.
        to->Xsave.StateBitmap = _components & OurComponents;
        to->Xsave.CompactedBitmap = 0;
        kvm_xcrs control;
        Require(KvmRequests.KVM_GET_XCRS, &control, nameof(KvmRequests.KVM_GET_XCRS));
        to->Xcr0 = control.nr_xcrs > 0 ? control.xcr0.value : 1;
    }

    public void Load(CpuState* from)
    {
        LoadRegisters(from);
        LoadExtended(from, initialize: true);
        LoadDebugRegisters(from);
        _msrs.Write(_vcpu, _buffer, &from->Msr);
    }

    /// <summary>Writes the MSRs in which two states differ.</summary>
    public void LoadChangedMsrs(CpuState* before, CpuState* after) => _msrs.WriteChanged(_vcpu, _buffer, &before->Msr, &after->Msr);

    public void LoadDebugRegisters(CpuState* from)
    {
        kvm_debugregs debug = default;
        for (int i = 0; i < 4; i++)
        {
            debug.db[i] = from->Dr[i];
        }

        debug.dr6 = KvmRegisters.DebugStatus(from);
        debug.dr7 = from->Dr[7];
        Require(KvmRequests.KVM_SET_DEBUGREGS, &debug, nameof(KvmRequests.KVM_SET_DEBUGREGS));
    }

    public void LoadRegisters(CpuState* from)
    {
        kvm_sregs special;
        Require(KvmRequests.KVM_GET_SREGS, &special, nameof(KvmRequests.KVM_GET_SREGS));
        KvmRegisters.ToKvm(from, ref special);
        for (int i = 0; i < 4; i++)
        {
            special.interrupt_bitmap[i] = 0;
        }

        Require(KvmRequests.KVM_SET_SREGS, &special, nameof(KvmRequests.KVM_SET_SREGS));
        LoadPdptrs(from);
        KvmRegisters.ToKvm(from, out kvm_regs general);
        Require(KvmRequests.KVM_SET_REGS, &general, nameof(KvmRequests.KVM_SET_REGS));
        var activity = KvmRegisters.ActivityToKvm(from);
        Require(KvmRequests.KVM_SET_MP_STATE, &activity, nameof(KvmRequests.KVM_SET_MP_STATE));
        KvmRegisters.ToKvm(from, out kvm_vcpu_events events);
        Require(KvmRequests.KVM_SET_VCPU_EVENTS, &events, nameof(KvmRequests.KVM_SET_VCPU_EVENTS));
    }

    /// <summary>Replaces what <see cref="XsaveArea"/> holds.</summary>
    /// <param name="initialize">Components that it has no room for go to their initial state; else they stay as <see cref="SaveExtended"/>
    /// found them.</param>
    public void LoadExtended(CpuState* from, bool initialize)
    {
        var control = new kvm_xcrs { nr_xcrs = 1, xcr0 = new kvm_xcr { value = (from->Xcr0 & _components) | 1 } };
        Require(KvmRequests.KVM_SET_XCRS, &control, nameof(KvmRequests.KVM_SET_XCRS));
        var area = (XsaveArea*)_xsave;
        ulong others = 0;
        if (initialize)
        {
            NativeMemory.Clear(_xsave, (nuint)_xsaveSize);
        }
        else
        {
            others = _foundBitmap & ~OurComponents;
        }

        NativeMemory.Copy(&from->Xsave, _xsave, XsaveBytes);
        area->StateBitmap = (_components & OurComponents) | others;
        area->CompactedBitmap = 0;
        area->Mxcsr &= 0xffff;
        Require(KvmRequests.KVM_SET_XSAVE, _xsave, nameof(KvmRequests.KVM_SET_XSAVE));
    }

    /// <summary>All of the extended state as KVM has it, in XSAVE's standard format; valid until the next transfer.</summary>
    public Span<byte> ReadExtended()
    {
        nuint request = _xsaveSize > sizeof(kvm_xsave) ? KvmRequests.KVM_GET_XSAVE2 : KvmRequests.KVM_GET_XSAVE;
        Require(request, _xsave, nameof(KvmRequests.KVM_GET_XSAVE));
        return new Span<byte>(_xsave, _xsaveSize);
    }

    /// <summary>Gives KVM what <see cref="ReadExtended"/> gave out and the caller has changed.</summary>
    public void WriteExtended() => Require(KvmRequests.KVM_SET_XSAVE, _xsave, nameof(KvmRequests.KVM_SET_XSAVE));

    /// <summary>The physical address of a linear one as the guest's page tables have it now; null when it is not mapped.</summary>
    public (GuestPhysicalAddress Physical, bool Writable)? Translate(GuestVirtualAddress linear)
    {
        var translation = new kvm_translation { linear_address = linear.Value };
        return KvmCalls.Control(_vcpu, KvmRequests.KVM_TRANSLATE, &translation) == 0 && translation.valid != 0
            ? (new GuestPhysicalAddress(translation.physical_address), translation.writeable != 0)
            : null;
    }

    public bool TryReadMsr(uint index, out ulong value) => _buffer.TryRead(_vcpu, index, out value);

    public bool TryWriteMsr(uint index, ulong value) => _buffer.TryWrite(_vcpu, index, value);

    public void Dispose() => NativeMemory.AlignedFree(_xsave);

    private static nuint XsaveBytes => XsaveArea.YmmHighOffset + (16 * 16);

    // Without KVM_GET_SREGS2 KVM reads the entries from memory itself when CR3 is set.
    public void SavePdptrs(CpuState* to)
    {
        if (_hasPdptrs && UsesPdptrs(to))
        {
            kvm_sregs2 special;
            Require(KvmRequests.KVM_GET_SREGS2, &special, nameof(KvmRequests.KVM_GET_SREGS2));
            if ((special.flags & KvmFlags.KVM_SREGS2_FLAGS_PDPTRS_VALID) != 0)
            {
                for (int i = 0; i < 4; i++)
                {
                    to->Pdpte[i] = special.pdptrs[i];
                }
            }
        }
    }

    private void LoadPdptrs(CpuState* from)
    {
        if (_hasPdptrs && UsesPdptrs(from))
        {
            kvm_sregs2 special;
            Require(KvmRequests.KVM_GET_SREGS2, &special, nameof(KvmRequests.KVM_GET_SREGS2));
            special.flags |= KvmFlags.KVM_SREGS2_FLAGS_PDPTRS_VALID;
            for (int i = 0; i < 4; i++)
            {
                special.pdptrs[i] = from->Pdpte[i];
            }

            Require(KvmRequests.KVM_SET_SREGS2, &special, nameof(KvmRequests.KVM_SET_SREGS2));
        }
    }

    public static bool UsesPdptrs(CpuState* state) =>
        (state->Cr0 & PagingBit) != 0 && (state->Cr4 & PaeBit) != 0 && (state->Efer & LongModeActive) == 0;

    private void Require(nuint request, void* argument, string name) => KvmCalls.Require(_vcpu, request, argument, name);
}
